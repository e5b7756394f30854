//! Reports metric gates whose source cannot be read. A run would wait at its first raise until the gate times out.

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};
use crate::domain::metric::gate::MeasuredValue;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let unread = context.facts.gate_answers.iter().filter_map(|(gate, seen)| match seen {
        MeasuredValue::Unreadable { message } => Some((gate, message)),
        _ => None,
    });
    findings.extend(unread.map(|(gate, why)| {
        let message = format!("the metric source cannot be read now: {why}");
        finding(
            Code::CUT094,
            &format!("gate {gate}"),
            message,
            "repair the source or the gate's query. While the source cannot be read, the gate allows no raise",
        )
    }));
}
