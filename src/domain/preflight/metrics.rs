//! Metric gates whose source does not answer: a run would hold at its first step for as long as the gates may take.

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(context.facts.mute.iter().map(|(gate, why)| {
        let message = format!("cannot be read now: {why}");
        finding(
            Code::CUT094,
            &format!("gate {gate}"),
            message,
            "a gate that cannot be read holds, and a `raise` gate keeps more traffic away",
        )
    }));
}
