//! Renders the changes since the previous comparison of `cutover compare --watch`. Pure.

use std::fmt::Write;

use jiff::Timestamp;

use super::{event, put_accept_lines, summary, verdict};
use crate::base::finding::Finding;
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::hang;
use crate::plan::model::Plan;

/// The findings that changed between two comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The findings that the earlier comparison did not have.
    pub new: Vec<Finding>,
    /// The findings that the later comparison does not have.
    pub gone: Vec<Finding>,
}

impl Change {
    /// Returns the change from one comparison to the next. A finding with a changed text is in both lists.
    pub fn between(before: &[Finding], now: &[Finding]) -> Self {
        let without = |all: &[Finding], others: &[Finding]| {
            all.iter().filter(|finding| !others.contains(finding)).cloned().collect()
        };
        Self { new: without(now, before), gone: without(before, now) }
    }

    /// Whether both comparisons have the same findings.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }
}

/// Returns the text of a change, which ends with a newline: what is new, what is gone, how to accept what is new, and
/// the verdict. Empty without a change.
pub fn text(plan: &Plan, change: &Change, now: &[Finding], style: &Style, at: Timestamp) -> String {
    if change.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", style.paint(Tone::Strong, &style.time_in_zone(at)));
    for finding in &change.new {
        let tone = if finding.refuses() { Tone::Bad } else { Tone::Warn };
        let label = format!("  new  {}  ", style.paint(tone, finding.code.name()));
        let _ = writeln!(out, "{}", hang(&label, 8, &finding.message, style.width));
    }
    for finding in &change.gone {
        let label = format!("  gone {}  ", style.paint(Tone::Good, finding.code.name()));
        let _ = writeln!(out, "{}", hang(&label, 8, &finding.message, style.width));
    }
    put_accept_lines(&change.new, &mut out);
    let _ = writeln!(out, "\n{}", verdict(plan, now));
    out
}

/// Returns a change as JSON lines: the events `new` and `gone` for the findings, and `summary` at the end of each
/// comparison.
pub fn json(plan: &Plan, change: &Change, now: &[Finding]) -> String {
    let mut out = String::new();
    let (new, gone) = (change.new.iter().map(|f| event("new", f)), change.gone.iter().map(|f| event("gone", f)));
    for line in new.chain(gone).chain([summary(plan, now)]) {
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::finding::Code;
    use crate::domain::fixture;

    fn finding(code: Code, message: &str) -> Finding {
        Finding::new(code, "shop/checkout", message)
    }

    #[test]
    fn a_look_shows_what_is_new_and_what_is_gone() {
        let plan = fixture::plan();
        let before = [finding(Code::CUT120, "a runs sha256:1, b runs sha256:2"), finding(Code::CUT131, "no budget")];
        let now = [before[1].clone(), finding(Code::CUT170, "CronJob shop/billing starts its jobs in both clusters")];
        let change = Change::between(&before, &now);
        assert_eq!((change.new.len(), change.gone.len()), (1, 1));
        let shown = text(&plan, &change, &now, &Style::plain(), Timestamp::UNIX_EPOCH);
        for line in [
            "new  CUT170  CronJob shop/billing starts",
            "gone CUT120  a runs sha256:1",
            "- {code: CUT170, object: \"shop/checkout\", reason: …}",
            "is not fit to take over: 1 error",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(!shown.contains("CUT131"), "what did not change is not shown again: {shown}");
        let lines = json(&plan, &change, &now);
        let events: Vec<serde_json::Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(names, ["new", "gone", "summary"]);
        assert_eq!(text(&plan, &Change::between(&now, &now), &now, &Style::plain(), Timestamp::UNIX_EPOCH), "");
    }
}
