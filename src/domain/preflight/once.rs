//! Merges findings that have a common cause. For example, without credentials nothing can be read, and every check
//! would report this. Drops findings that another finding explains.

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

/// Removes findings about a target group whose name in the plan is misspelled (CUT041): that routes forward to it
/// although the plan does not name it, and that it has a binding already.
pub(super) fn drop_false_trails(findings: &mut Vec<Finding>) {
    let meant = |finding: &Finding| {
        let (_, rest) = finding.message.split_once("did you mean `").filter(|_| finding.code == Code::CUT041)?;
        rest.split_once('`').map(|(name, _)| name.to_owned())
    };
    let meant: Vec<String> = findings.iter().filter_map(meant).collect();
    let is_about = |finding: &Finding| {
        let text = &finding.message;
        meant.iter().any(|name| finding.subject == *name || text.contains(&format!("targetgroup/{name}/")))
    };
    findings.retain(|finding| !(matches!(finding.code, Code::CUT073 | Code::CUT086) && is_about(finding)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: for a misspelled target group, `check` also warned about routes and bindings of the group that
    /// was meant.
    #[test]
    fn a_misspelt_group_has_no_other_findings() {
        let cause = "no target group matches `shop-aa` in eu-west-1; did you mean `shop-a`?";
        let bound = "binding x already exists for arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/shop-a/1";
        let mut findings = vec![
            Finding::new(Code::CUT041, "shop", cause),
            Finding::new(Code::CUT086, "shop-a", "these routes forward to shop-a"),
            Finding::new(Code::CUT073, "b", bound),
            Finding::new(Code::CUT086, "shop-b", "these routes forward to shop-b"),
        ];
        drop_false_trails(&mut findings);
        let left: Vec<_> = findings.iter().map(|finding| (finding.code, finding.subject.as_str())).collect();
        assert_eq!(left, [(Code::CUT041, "shop"), (Code::CUT086, "shop-b")]);
    }
}
