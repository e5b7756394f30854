//! Renders the report of `check` as text for a terminal.

use std::fmt::Write;

use super::{cell, columns, findings_count, heading, observation_line, severity_word, verdict};
use crate::base::duration::format_exact;
use crate::base::finding::{Finding, Severity};
use crate::base::number::count;
use crate::base::text::clip;
use crate::cli::render::style::{Style, Tone};
use crate::domain::view::check::{CheckReport, RouteLine};

/// Returns the text, which ends with a newline.
pub fn text(report: &CheckReport, style: &Style) -> String {
    let mut out = head(report, style);
    findings(report, style, &mut out);
    steps(report, style, &mut out);
    hooks(report, style, &mut out);
    for lines in report.grouped() {
        routes(report, &lines, style, &mut out);
    }
    skipped(report, style, &mut out);
    let tone = if report.is_refused() { Tone::Bad } else { Tone::Good };
    put(&mut out, &format!("\n{} · {}", findings_count(report), style.paint(tone, &verdict(report))));
    out
}

fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn head(report: &CheckReport, style: &Style) -> String {
    let (from, to) = &report.clusters;
    let mut out = String::new();
    put(
        &mut out,
        &format!(
            "{} ({}): {from} {} {to}",
            style.paint(Tone::Strong, &report.plan),
            report.source,
            style.mark("→", "->")
        ),
    );
    let ends = report
        .ends
        .map(|t| format!(", until {} if started now", t.to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M %Z")));
    put(&mut out, &format!("takes at least {}{}", format_exact(report.estimate), ends.unwrap_or_default()));
    if let Some(observations) = observation_line(report) {
        put(&mut out, &observations);
    }
    out
}

fn findings(report: &CheckReport, style: &Style, out: &mut String) {
    if report.findings.is_empty() {
        return;
    }
    put(out, &format!("\n{}", style.paint(Tone::Strong, "findings")));
    for finding in &report.findings {
        put(
            out,
            &format!(
                "  {} {}  {}",
                style.paint(tone(finding), severity_word(finding)),
                finding.code.name(),
                finding.message
            ),
        );
        if let Some(reason) = &finding.accepted {
            put(out, &format!("    accepted by the plan: {reason}"));
        } else {
            for line in finding.help.iter().flat_map(|h| h.lines()) {
                put(out, &format!("    {}", style.paint(Tone::Faint, line)));
            }
        }
    }
}

fn tone(finding: &Finding) -> Tone {
    match finding.severity {
        _ if finding.accepted.is_some() => Tone::Faint,
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Faint,
    }
}

fn steps(report: &CheckReport, style: &Style, out: &mut String) {
    put(out, &format!("\n{}", style.paint(Tone::Strong, "steps")));
    for step in &report.steps {
        let name = step.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        let timed = report.steps.iter().any(|s| s.clock.is_some());
        let begins = step
            .clock
            .clone()
            .unwrap_or_else(|| if timed { "never".into() } else { format!("+{}", format_exact(step.begins)) });
        let begins = style.paint(Tone::Faint, &begins);
        put(out, &format!("  {:>2}  {name}{}  {begins}", step.number, step.action));
    }
}

fn hooks(report: &CheckReport, style: &Style, out: &mut String) {
    if report.hooks.is_empty() {
        return;
    }
    put(out, &format!("\n{}", style.paint(Tone::Strong, "hooks")));
    let width = report.hooks.iter().map(|h| h.when.len()).max().unwrap_or(0);
    for hook in &report.hooks {
        let name = hook.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        let must = if hook.required { style.paint(Tone::Faint, "  (a failure fails the run)") } else { String::new() };
        put(out, &format!("  {:width$}  {name}{}{must}", hook.when, hook.action));
    }
}

fn routes(report: &CheckReport, lines: &[&RouteLine], style: &Style, out: &mut String) {
    let Some(first) = lines.first() else { return };
    put(out, &format!("\n{}", style.paint(Tone::Strong, &heading(lines))));
    for line in lines {
        let conditions = if line.conditions.is_empty() {
            String::new()
        } else {
            format!("  {}", style.paint(Tone::Faint, &line.conditions))
        };
        put(out, &format!("  {}{conditions}", line.label));
    }
    let names = columns(&first.weights);
    let titles: Vec<String> = first.weights.iter().map(|w| report.step_title(w.step)).map(|t| clip(&t, 39)).collect();
    let width = titles.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    let header: Vec<String> = names.iter().map(|n| format!("{n:>5}")).collect();
    put(out, &format!("  {:width$}  {}", "weights after", header.join("  "), width = width.max(13)));
    for (weights, title) in first.weights.iter().zip(titles) {
        let row = match &weights.groups {
            Ok(groups) => names
                .iter()
                .map(|n| format!("{:>w$}", cell(groups, n), w = n.chars().count().max(5)))
                .collect::<Vec<_>>()
                .join("  "),
            Err(why) => style.paint(Tone::Bad, why),
        };
        put(out, &format!("  {title:width$}  {row}", width = width.max(13)));
    }
}

fn skipped(report: &CheckReport, style: &Style, out: &mut String) {
    if report.skipped.is_empty() {
        return;
    }
    put(
        out,
        &format!("\n{}", style.paint(Tone::Strong, &format!("{} not selected", count(report.skipped.len(), "route")))),
    );
    for skipped in &report.skipped {
        put(out, &format!("  {} {}: {}", skipped.load_balancer, skipped.route, skipped.reason));
    }
}
