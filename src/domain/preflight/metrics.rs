//! Reports metric gates whose source cannot be read. A run would wait after it has raised the first share, until the
//! gate times out.

use std::collections::BTreeMap;

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};
use crate::domain::metric::gate::MeasuredValue;
use crate::plan::place;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut unread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (gate, seen) in &context.facts.gate_answers {
        if let MeasuredValue::Unreadable { message } = seen {
            unread.entry(message).or_default().push(gate);
        }
    }
    findings.extend(unread.into_iter().map(|(why, gates)| {
        let gate = if gates.len() == 1 { "gate" } else { "gates" };
        let subject = format!("{gate} {}", gates.join(", "));
        let message = format!("{subject}: the metric source cannot be read now: {why}");
        let help = "repair the source or the gate's query. While the source cannot be read, the new cluster gets no more \
                    than the first share: the run waits before it raises the share again, and freezes at the time-out of the \
                    gates";
        let place = place::of(context.plan, &["gates", &format!("name: {}", gates[0])]);
        finding(Code::CUT094, &subject, message, help).at(place)
    }));
}
