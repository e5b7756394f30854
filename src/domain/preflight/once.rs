//! Says a common cause once: without credentials nothing can be read, and every rule reports that on its own.

use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::unread;
use crate::domain::preflight::facts::Facts;
use crate::domain::traffic::Unreadable;

/// Replaces all findings that missing credentials cause by one.
pub(super) fn merge_credentials(facts: &Facts, findings: &mut Vec<Finding>) {
    let Err(why @ Unreadable::Credentials(_)) = &facts.caller else { return };
    let cause = why.to_string();
    let caused = |finding: &Finding| {
        matches!(finding.code, Code::CUT052 | Code::CUT058 | Code::CUT094) && finding.message.contains(&cause)
    };
    findings.retain(|finding| !caused(finding));
    findings.push(unread("aws", "AWS", why));
}
