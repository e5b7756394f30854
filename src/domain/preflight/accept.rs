//! Applies `accept` of a plan to the findings.

use crate::base::finding::{Code, Finding, Severity, Source};
use crate::plan::model::Plan;

/// The errors that a plan may accept, because an operator may know more than tags, permissions and names show. No plan
/// can accept other errors, because they protect traffic.
pub const ACCEPTABLE_ERRORS: &[Code] = &[
    Code::CUT053,
    Code::CUT058,
    Code::CUT060,
    Code::CUT073,
    Code::CUT075,
    Code::CUT085,
    Code::CUT091,
    Code::CUT093,
    Code::CUT305,
    Code::CUT307,
];

/// Marks accepted findings with the plan's reason. Reports entries of `accept` for errors that cannot be accepted, and
/// entries that match no finding.
pub(super) fn apply_accept(plan: &Plan, findings: &mut Vec<Finding>) {
    let mut more = Vec::new();
    for accept in &plan.accept {
        let mut found = false;
        for finding in findings.iter_mut().filter(|f| f.code.name() == accept.code) {
            found = true;
            if finding.severity < Severity::Error || ACCEPTABLE_ERRORS.contains(&finding.code) {
                finding.accepted = Some(accept.reason.clone());
            } else {
                more.push(
                    Finding::new(
                        Code::CUT089,
                        finding.subject.clone(),
                        format!("{} cannot be accepted: {}", accept.code, finding.code.title()),
                    )
                    .help(format!("correct what the finding reports, and remove {} from `accept`", accept.code)),
                );
            }
        }
        // Codes of the plan's own checks were checked when the plan was read.
        let is_checked_here = Code::ALL.iter().any(|c| c.name() == accept.code && c.source() == Source::Preflight);
        if !found && is_checked_here {
            let message = format!("`accept` lists {}, but the check has no such finding", accept.code);
            more.push(
                Finding::new(Code::CUT090, accept.code.clone(), message)
                    .help("remove this entry, so that it cannot hide a finding in the future"),
            );
        }
    }
    more.dedup();
    findings.append(&mut more);
}
