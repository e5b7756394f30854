//! Sums up the report of `check` before the question of `run`: it fits on a screen, so it counts routes and does not
//! list them. Errors and warnings come last, next to the question; notes are counted.

use super::text::{findings, gates, head, hours, put, steps};
use super::{NAMED, findings_text, heading, route_sets};
use crate::base::finding::Severity;
use crate::base::number::count;
use crate::cli::render::style::{Style, Tone};
use crate::domain::view::check::CheckReport;

/// The lines of a terminal. The summary and the question are at most this long.
const SCREEN: usize = 24;
/// The lines of the screen for the verdict and the question.
const QUESTION: usize = 4;
/// Maximum number of steps, gates and sets of routes in a summary that would be longer than the screen; with gates or
/// hours, of which a plan has few, fewer.
const LISTED: usize = 5;
const LISTED_WITH_GATES: usize = 4;
/// Minimum number of lines for errors and warnings.
const FINDINGS: usize = 5;

/// Returns the summary; ends with a newline. `all`: the command and option that also list the routes and their weights.
pub fn summary(report: &CheckReport, all: &str, style: &Style) -> String {
    let full = sections(report, all, usize::MAX, style);
    if full.lines().count() < SCREEN {
        return full;
    }
    let listed = if report.gates.is_empty() && report.hours.is_empty() { LISTED } else { LISTED_WITH_GATES };
    sections(report, all, listed, style)
}

/// Returns the summary with at most `listed` steps, gates and sets of routes.
fn sections(report: &CheckReport, all: &str, listed: usize, style: &Style) -> String {
    let mut out = head(report, style);
    let add = |section: fn(&CheckReport, &Style, &mut String), out: &mut String| {
        let mut lines = String::new();
        section(report, style, &mut lines);
        shorten(&lines, listed.saturating_add(2), style, out);
    };
    add(steps, &mut out);
    add(gates, &mut out);
    add(hours, &mut out);
    put(&mut out, &format!("\n{}", style.paint(Tone::Strong, "routes")));
    let sets = route_sets(report);
    for lines in sets.iter().take(listed) {
        put(&mut out, &format!("  {}", heading(lines)));
    }
    if sets.len() > listed {
        put(&mut out, &format!("  and {} with other shares", count(sets.len() - listed, "set")));
    }
    if !report.skipped.is_empty() {
        put(&mut out, &format!("  {} not selected", count(report.skipped.len(), "route")));
    }
    put(&mut out, &style.paint(Tone::Faint, &format!("  to list them with their weights, and the notes: {all}")));
    let serious = report.findings.iter().filter(|f| f.accepted.is_none() && f.severity != Severity::Info);
    let serious = CheckReport { findings: serious.cloned().collect(), ..report.clone() };
    let mut lines = String::new();
    findings(&serious, if listed == usize::MAX { NAMED } else { 1 }, style, &mut lines);
    let room = SCREEN.saturating_sub(out.lines().count() + QUESTION).max(FINDINGS);
    shorten(&lines, if listed == usize::MAX { usize::MAX } else { room }, style, &mut out);
    let tone = if report.is_refused() { Tone::Bad } else { Tone::Good };
    put(&mut out, &format!("\n{}", style.paint(tone, &findings_text(report))));
    out
}

/// Appends the first lines of a section, and how many more there are.
fn shorten(lines: &str, most: usize, style: &Style, out: &mut String) {
    let total = lines.lines().count();
    let shown = if total > most { most.saturating_sub(1) } else { total };
    lines.lines().take(shown).for_each(|line| put(out, line));
    if total > shown {
        put(out, &style.paint(Tone::Faint, &format!("  {} more with --verbose", count(total - shown, "line"))));
    }
}
