//! Sums up the report of `check` before the question of `run`: it fits on a screen, so it counts routes and does not
//! list them. Errors and warnings come last, next to the question; notes are counted.

use super::text::{findings, gates, head, hours, put, steps};
use super::{findings_text, heading};
use crate::base::finding::Severity;
use crate::base::number::count;
use crate::cli::render::style::{Style, Tone};
use crate::domain::view::check::CheckReport;

/// Returns the summary; ends with a newline. `all`: the command and option that also list the routes and their weights.
pub fn summary(report: &CheckReport, all: &str, style: &Style) -> String {
    let mut out = head(report, style);
    steps(report, style, &mut out);
    gates(report, style, &mut out);
    hours(report, style, &mut out);
    put(&mut out, &format!("\n{}", style.paint(Tone::Strong, "routes")));
    for lines in report.grouped() {
        put(&mut out, &format!("  {}", heading(&lines)));
    }
    if !report.skipped.is_empty() {
        put(&mut out, &format!("  {} not selected", count(report.skipped.len(), "route")));
    }
    put(&mut out, &style.paint(Tone::Faint, &format!("  to list them with their weights, and the notes: {all}")));
    let serious = report.findings.iter().filter(|f| f.accepted.is_none() && f.severity != Severity::Info);
    let serious = CheckReport { findings: serious.cloned().collect(), ..report.clone() };
    findings(&serious, style, &mut out);
    let tone = if report.is_refused() { Tone::Bad } else { Tone::Good };
    put(&mut out, &format!("\n{}", style.paint(tone, &findings_text(report))));
    out
}
