//! Renders the report of `check` as text for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{
    NAMED, answer, cell, columns, findings_count, heading, observation_line, route_sets, severity_word, shown_findings,
    verdict,
};
use crate::base::duration::format_exact;
use crate::base::finding::{Finding, Severity};
use crate::base::number::count;
use crate::base::text::clip;
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::{hang, wrap};
use crate::domain::view::check::{CheckReport, NotificationLine, RouteLine, Weights};
use crate::domain::view::gates::GateLine;

/// The head of the table of weights.
const HEADER: &str = "weights after";
/// Maximum width of a step's title in the table of weights, in columns.
const TITLE: usize = 39;

/// Returns the text, which ends with a newline. With `all`, every route and every finding is listed instead of groups.
pub fn text(report: &CheckReport, all: bool, style: &Style) -> String {
    let mut out = head(report, style);
    let named = if all { usize::MAX } else { NAMED };
    if !report.is_refused() {
        findings(report, named, style, &mut out);
    }
    steps(report, style, &mut out);
    hooks(report, style, &mut out);
    gates(report, style, &mut out);
    notifications(report, style, &mut out);
    hours(report, style, &mut out);
    let sets = if all { report.grouped() } else { route_sets(report) };
    for lines in &sets {
        routes(report, lines, all, style, &mut out);
    }
    skipped(report, all, style, &mut out);
    if !all && (report.routes.len() > NAMED || report.skipped.len() > NAMED) {
        put(&mut out, &style.paint(Tone::Faint, "\n  to list every route and every finding, add --verbose"));
    }
    if report.is_refused() {
        // The findings that refuse the run come last, because the end of a long text stays on the screen.
        let mut report = report.clone();
        report.findings.sort_by_key(|finding| (finding.accepted.is_none(), finding.severity));
        findings(&report, named, style, &mut out);
    }
    let tone = if report.is_refused() { Tone::Bad } else { Tone::Good };
    put(&mut out, "");
    let verdict = format!("{} · {}", findings_count(report), style.paint(tone, &verdict(report)));
    put(&mut out, &hang("", 0, &verdict, style.width));
    out
}

pub(super) fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

pub(super) fn head(report: &CheckReport, style: &Style) -> String {
    let (from, to) = &report.clusters;
    let mut out = String::new();
    put(
        &mut out,
        &format!(
            "{} ({}): {from} {} {to}",
            style.paint(Tone::Strong, &report.title()),
            report.source,
            style.mark("→", "->")
        ),
    );
    let ends = report
        .ends
        .map(|t| format!(", until {} if started now", t.to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M %Z")));
    let first = report.steps.first().filter(|step| step.number > 1);
    let first = first.map_or_else(String::new, |step| format!("begins with step {}; ", report.step_title(step.number)));
    let takes = format!("{first}takes at least {}{}", format_exact(report.estimate), ends.unwrap_or_default());
    put(&mut out, &hang("", 0, &takes, style.width));
    if let Some(observations) = observation_line(report) {
        put(&mut out, &hang("", 0, &observations, style.width));
    }
    out
}

/// Appends the findings. If more than `named` findings have the same code, appends only one of them.
pub(super) fn findings(report: &CheckReport, named: usize, style: &Style, out: &mut String) {
    if report.findings.is_empty() {
        return;
    }
    put(out, &format!("\n{}", style.paint(Tone::Strong, "findings")));
    let shown = shown_findings(&report.findings, named);
    for (at, (finding, others)) in shown.iter().copied().enumerate() {
        let head = format!("  {} {}  ", style.paint(tone(finding), severity_word(finding)), finding.code.name());
        put(out, &hang(&head, 4, &finding.message, style.width));
        if let Some(reason) = &finding.accepted {
            put(out, &hang("    ", 4, &format!("accepted by the plan: {reason}"), style.width));
        } else if !shown.get(at + 1).is_some_and(|(next, _)| has_same_help(finding, next)) {
            for line in wrap(finding.help.as_deref().unwrap_or_default(), style.width.map(|w| w.saturating_sub(4))) {
                put(out, &format!("    {}", style.paint(Tone::Faint, &line)));
            }
        }
        if others > 0 {
            put(out, &format!("    and {others} more {}", finding.code.name()));
        }
    }
}

/// Whether two findings of one kind have the same advice, which is shown once.
fn has_same_help(one: &Finding, other: &Finding) -> bool {
    let key = |finding: &Finding| (finding.code, finding.severity, finding.accepted.is_some());
    key(one) == key(other) && one.help == other.help
}

fn tone(finding: &Finding) -> Tone {
    match finding.severity {
        _ if finding.accepted.is_some() => Tone::Faint,
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Faint,
    }
}

pub(super) fn steps(report: &CheckReport, style: &Style, out: &mut String) {
    put(out, &format!("\n{}", style.paint(Tone::Strong, "steps")));
    let timed = report.steps.iter().any(|s| s.clock.is_some());
    for step in &report.steps {
        let name = step.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        let begins = step
            .clock
            .clone()
            .unwrap_or_else(|| if timed { "never".into() } else { format!("+{}", format_exact(step.begins)) });
        let text = format!("{name}{}  {}", step.action, style.paint(Tone::Faint, &begins));
        put(out, &hang(&format!("  {:>2}  ", step.number), 6, &text, style.width));
    }
}

pub(super) fn hooks(report: &CheckReport, style: &Style, out: &mut String) {
    if report.hooks.is_empty() {
        return;
    }
    put(out, &format!("\n{}", style.paint(Tone::Strong, "hooks")));
    let width = report.hooks.iter().map(|h| h.when.len()).max().unwrap_or(0);
    for hook in &report.hooks {
        let name = hook.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        let must = if hook.required { style.paint(Tone::Faint, "  (a failure fails the run)") } else { String::new() };
        let text = format!("{name}{}{must}", hook.action);
        put(out, &hang(&format!("  {:width$}  ", hook.when), width + 4, &text, style.width));
    }
}

pub(super) fn gates(report: &CheckReport, style: &Style, out: &mut String) {
    section("gates", report.gates.iter().map(|gate| gate_line(gate, style)).collect(), style, out);
}

pub(super) fn notifications(report: &CheckReport, style: &Style, out: &mut String) {
    section("notifications", notification_lines(report, style), style, out);
}

pub(super) fn hours(report: &CheckReport, style: &Style, out: &mut String) {
    section("hours", report.hours.clone(), style, out);
}

/// Appends a heading and its lines. Appends nothing if there are no lines.
fn section(heading: &str, lines: Vec<String>, style: &Style, out: &mut String) {
    if lines.is_empty() {
        return;
    }
    put(out, &format!("\n{}", style.paint(Tone::Strong, heading)));
    for line in lines {
        put(out, &hang("  ", 4, &line, style.width));
    }
}

fn gate_line(gate: &GateLine, style: &Style) -> String {
    let scope = if gate.scope.is_empty() { String::new() } else { format!(", {}", gate.scope) };
    let (name, answer) = (style.paint(Tone::Strong, &gate.gate), answer(gate));
    format!("{name} ({}{scope}): {}; {}. {answer}", gate.source, gate.condition, gate.effect)
}

fn notification_lines(report: &CheckReport, style: &Style) -> Vec<String> {
    let line = |notification: &NotificationLine| {
        let problem = notification.problem.as_ref().map_or_else(String::new, |why| {
            style.paint(Tone::Warn, &format!(". It cannot be delivered from this machine: {why}"))
        });
        format!("{}: {}{problem}", notification.to, notification.on.join(", "))
    };
    report.notifications.iter().map(line).collect()
}

fn routes(report: &CheckReport, lines: &[&RouteLine], all: bool, style: &Style, out: &mut String) {
    let Some(first) = lines.first() else { return };
    put(out, &format!("\n{}", style.paint(Tone::Strong, &heading(lines))));
    for line in lines.iter().filter(|_| all || report.routes.len() <= NAMED) {
        let conditions = style.paint(Tone::Faint, &line.conditions);
        let conditions = if line.conditions.is_empty() { String::new() } else { format!("  {conditions}") };
        put(out, &hang("  ", 4, &format!("{}{conditions}", line.label), style.width));
    }
    let of_many = lines.iter().any(|line| line.workload != first.workload);
    let weights = if of_many { first.cluster_weights() } else { first.weights.clone() };
    let names = columns(&weights);
    let header: Vec<String> = names.iter().map(|n| format!("{n:>5}")).collect();
    let header = header.join("  ");
    let room = style.width.map_or(TITLE, |width| width.saturating_sub(header.chars().count() + 5));
    if room < HEADER.len() {
        return weights_as_text(report, &weights, style, out);
    }
    let titles = weights.iter().map(|w| clip(&report.step_title(w.step), room.min(TITLE)));
    let titles: Vec<String> = titles.collect();
    let width = titles.iter().map(|t| t.chars().count()).max().unwrap_or(0).max(HEADER.len());
    put(out, &format!("  {HEADER:width$}  {header}"));
    for (weights, title) in weights.iter().zip(titles) {
        let row = match &weights.groups {
            Ok(groups) => names
                .iter()
                .map(|n| format!("{:>w$}", cell(groups, n), w = n.chars().count().max(5)))
                .collect::<Vec<_>>()
                .join("  "),
            Err(why) => style.paint(Tone::Bad, why),
        };
        put(out, &format!("  {title:width$}  {row}"));
    }
}

/// Appends the weights after each step as text, for a terminal that is narrower than the table.
fn weights_as_text(report: &CheckReport, all: &[Weights], style: &Style, out: &mut String) {
    put(out, &format!("  {HEADER}"));
    for weights in all {
        let text = match &weights.groups {
            Ok(groups) => {
                let names = columns(all);
                names.iter().map(|n| format!("{n} {}", cell(groups, n).trim())).collect::<Vec<_>>().join(", ")
            }
            Err(why) => style.paint(Tone::Bad, why),
        };
        put(out, &hang("  ", 4, &format!("{}: {text}", report.step_title(weights.step)), style.width));
    }
}

fn skipped(report: &CheckReport, all: bool, style: &Style, out: &mut String) {
    if report.skipped.is_empty() {
        return;
    }
    put(
        out,
        &format!("\n{}", style.paint(Tone::Strong, &format!("{} not selected", count(report.skipped.len(), "route")))),
    );
    if !all && report.skipped.len() > NAMED {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        report.skipped.iter().for_each(|skipped| *reasons.entry(skipped.reason.to_string()).or_default() += 1);
        for (reason, routes) in reasons.iter().take(NAMED) {
            put(out, &hang("  ", 4, &format!("{}: {reason}", count(*routes, "route")), style.width));
        }
        if reasons.len() > NAMED {
            put(out, &format!("  and {} more reasons", reasons.len() - NAMED));
        }
        return;
    }
    for skipped in &report.skipped {
        let text = format!("{} {}: {}", skipped.load_balancer, skipped.route, skipped.reason);
        put(out, &hang("  ", 4, &text, style.width));
    }
}
