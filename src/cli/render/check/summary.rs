//! Sums up the report of `check` before the question of `run`: it fits on a screen together with the question, so it
//! counts routes and does not list them, and writes the steps in a line or two if there is no room for more. Errors and
//! warnings come last, next to the question; notes are counted.

use super::super::wrap::hang;
use super::text::{findings, gates, head, hooks, hours, notifications, put, steps};
use super::{NAMED, findings_text, heading, route_sets};
use crate::base::finding::{Finding, Severity};
use crate::base::number::count;
use crate::cli::render::style::{Style, Tone};
use crate::domain::view::check::{CheckReport, HookLine};
use crate::domain::view::gates::NOT_ASKED;

/// The lines of a terminal. The summary and the question are at most this long.
const SCREEN: usize = 24;
/// The lines of the screen for the question.
const QUESTION: usize = 6;
/// Maximum number of sets of routes in a summary that would be longer than the screen.
const LISTED: usize = 3;
/// Maximum number of steps, hooks, gates or notifications in a line.
const NAMED_ITEMS: usize = 24;
/// Maximum number of gates that get a line each, with the result of their source.
const ANSWERS: usize = 4;
/// Columns of the headings.
const HEADINGS: usize = 10;
/// The lines that the summary keeps for errors and warnings, even if it leaves out other lines.
const MIN_FINDING_LINES: usize = 4;

/// Returns the summary, which ends with a newline. `all` is the command that shows everything.
pub fn summary(report: &CheckReport, all: &str, style: &Style) -> String {
    let full = full(report, all, style);
    if full.lines().count() + QUESTION <= SCREEN { full } else { short(report, all, style) }
}

fn full(report: &CheckReport, all: &str, style: &Style) -> String {
    let mut out = head(report, style);
    for section in [steps, hooks, gates, notifications, hours] {
        section(report, style, &mut out);
    }
    put(&mut out, &format!("\n{}", style.paint(Tone::Strong, "routes")));
    routes(report, usize::MAX, &mut out);
    more(all, style, &mut out);
    findings(&serious(report), NAMED, style, &mut out);
    verdict(report, style, &mut out);
    out
}

/// Returns a short summary, for a report whose full summary is longer than the screen. Steps, hooks, gates,
/// notifications and hours get one or two lines each.
fn short(report: &CheckReport, all: &str, style: &Style) -> String {
    let mut out = head(report, style);
    let arrow = style.mark(" → ", " -> ");
    let steps: Vec<_> = report.steps.iter().map(|step| step.short.as_str()).collect();
    line("steps", &shortened(&steps, arrow), style, &mut out);
    let names = |names: Vec<String>| shortened(&names.iter().map(String::as_str).collect::<Vec<_>>(), ", ");
    line("hooks", &names(report.hooks.iter().map(HookLine::title).collect()), style, &mut out);
    gate_lines(report, style, &mut out);
    line("notifies", &names(report.notifications.iter().map(|n| n.to.clone()).collect()), style, &mut out);
    line("hours", &hours_in_short(&report.hours), style, &mut out);
    let mut sets = String::new();
    routes(report, LISTED, &mut sets);
    line("routes", &sets.lines().map(str::trim).collect::<Vec<_>>().join("; "), style, &mut out);
    more(all, style, &mut out);
    let room = SCREEN.saturating_sub(out.lines().count() + 2 + QUESTION).max(MIN_FINDING_LINES);
    short_findings(&serious(report), room, style, &mut out);
    verdict(report, style, &mut out);
    out
}

/// Appends a line for each gate with the current result of its source. If there are many gates, appends only their
/// names.
fn gate_lines(report: &CheckReport, style: &Style, out: &mut String) {
    if report.gates.len() > ANSWERS || report.gates.iter().all(|gate| gate.answer.is_none()) {
        let names: Vec<_> = report.gates.iter().map(|gate| gate.gate.as_str()).collect();
        return line("gates", &shortened(&names, ", "), style, out);
    }
    for (at, gate) in report.gates.iter().enumerate() {
        let answer = gate.answer.as_deref().unwrap_or(NOT_ASKED);
        let head = if at == 0 { "gates" } else { "" };
        let text = format!("{}: {answer}", gate.gate);
        put(out, &hang(&format!("{head:<HEADINGS$}"), HEADINGS, &text, style.width));
    }
}

/// Returns the windows, and the number of blackouts. The last line of the hours describes their effect and is left out.
fn hours_in_short(hours: &[String]) -> String {
    let lines = hours.split_last().map_or(&[][..], |(_, lines)| lines);
    let (blackouts, windows): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("blackout "));
    let blackouts = (!blackouts.is_empty()).then(|| count(blackouts.len(), "blackout"));
    windows.into_iter().cloned().chain(blackouts).collect::<Vec<_>>().join(", ")
}

/// Appends a heading, followed by a text in the same line. Appends nothing if the text is empty.
fn line(heading: &str, text: &str, style: &Style, out: &mut String) {
    if !text.is_empty() {
        put(out, &hang(&format!("{heading:<HEADINGS$}"), HEADINGS, text, style.width));
    }
}

/// Joins items. If there are many, joins only the first and the last items.
fn shortened(items: &[&str], separator: &str) -> String {
    if items.len() <= NAMED_ITEMS {
        return items.join(separator);
    }
    let (first, rest) = items.split_at(NAMED_ITEMS - 3);
    let more = format!("{} more", rest.len() - 2);
    [first, &[more.as_str()], &rest[rest.len() - 2..]].concat().join(separator)
}

fn routes(report: &CheckReport, listed: usize, out: &mut String) {
    let sets = route_sets(report);
    for lines in sets.iter().take(listed) {
        put(out, &format!("  {}", heading(lines)));
    }
    if sets.len() > listed {
        put(out, &format!("  and {} with other shares", count(sets.len() - listed, "set")));
    }
    if !report.skipped.is_empty() {
        put(out, &format!("  {} not selected", count(report.skipped.len(), "route")));
    }
}

/// Appends a note about the parts that only the full report has.
fn more(all: &str, style: &Style, out: &mut String) {
    let text = format!(
        "--verbose adds every route with its weights, the time of each step, the notes, and what hooks, gates and \
         notifications do:\n{all}"
    );
    put(out, &style.paint(Tone::Faint, &hang("  ", 2, &text, style.width)));
}

/// Returns the report with only the errors and warnings that the plan does not accept.
fn serious(report: &CheckReport) -> CheckReport {
    let serious = report.findings.iter().filter(|f| f.accepted.is_none() && f.severity != Severity::Info);
    CheckReport { findings: serious.cloned().collect(), ..report.clone() }
}

fn verdict(report: &CheckReport, style: &Style, out: &mut String) {
    let tone = if report.is_refused() { Tone::Bad } else { Tone::Good };
    put(out, &format!("\n{}", style.paint(tone, &findings_text(report))));
}

/// Appends the errors and warnings. None of them is truncated: the advice is left out if there is no room for all of
/// it, and findings without room are listed by their codes.
fn short_findings(report: &CheckReport, room: usize, style: &Style, out: &mut String) {
    let text = |report: &CheckReport| {
        let mut lines = String::new();
        findings(report, 1, style, &mut lines);
        lines
    };
    let whole = text(report);
    if whole.lines().count() <= room {
        out.push_str(&whole);
        return;
    }
    let without_advice = |finding: &Finding| Finding { help: None, ..finding.clone() };
    let mut all: Vec<_> = report.findings.iter().map(without_advice).collect();
    let mut left: Vec<&'static str> = Vec::new();
    loop {
        let lines = text(&CheckReport { findings: all.clone(), ..report.clone() });
        if lines.lines().count() < room || all.len() <= 1 {
            out.push_str(&lines);
            break;
        }
        left.extend(all.pop().map(|finding| finding.code.name()));
    }
    left.reverse();
    left.dedup();
    let more = match left.as_slice() {
        [] => "what to do about them: --verbose".to_owned(),
        codes => format!("and {}; what to do about all of them: --verbose", codes.join(", ")),
    };
    put(out, &style.paint(Tone::Faint, &hang("  ", 4, &more, style.width)));
}
