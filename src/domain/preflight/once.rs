//! Merges findings that have a common cause. For example, without credentials nothing can be read, and every check
//! would report this.

use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::unread;
use crate::domain::preflight::facts::Facts;
use crate::domain::traffic::Unreadable;

/// Removes findings that are equal except for the subject, such as the same finding about several workloads.
pub(super) fn merge_equal(findings: &mut Vec<Finding>) {
    let mut seen: Vec<Finding> = Vec::new();
    findings.retain(|finding| {
        let same = |other: &Finding| {
            (other.code, &other.message, &other.help) == (finding.code, &finding.message, &finding.help)
        };
        let new = !seen.iter().any(same);
        seen.extend(new.then(|| finding.clone()));
        new
    });
}

/// Replaces all findings about resources that were not read in time by one finding.
pub(super) fn merge_ended_reading(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(cause) = &facts.reading_ended else { return };
    findings.retain(|finding| !finding.message.contains(cause));
    let ended = Finding::new(Code::CUT052, "aws", format!("AWS was not read completely: {cause}"));
    findings.push(ended.help("repeat the command with twice the time; throttled calls take longer, but do not fail"));
}

/// Replaces all findings that missing credentials cause by one finding.
pub(super) fn merge_credentials(facts: &Facts, findings: &mut Vec<Finding>) {
    let Err(why @ Unreadable::Credentials(_)) = &facts.caller else { return };
    let cause = why.to_string();
    let caused = |finding: &Finding| {
        matches!(finding.code, Code::CUT052 | Code::CUT058 | Code::CUT094) && finding.message.contains(&cause)
    };
    findings.retain(|finding| !caused(finding));
    findings.push(unread("aws", "AWS", why));
}
