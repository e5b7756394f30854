//! Reports metric gates whose source does not answer: a run would hold at its first raise until the gates time out.

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(context.facts.unreadable_gates.iter().map(|(gate, why)| {
        let message = format!("cannot be read now: {why}");
        finding(
            Code::CUT094,
            &format!("gate {gate}"),
            message,
            "repair the source or the gate's query. Until the source can be read, its `raise` gate allows no raise",
        )
    }));
}
