//! Renders the report of `check` as Markdown, for a pull request.

use std::fmt::Write;

use super::{answer, cell, columns, findings_count, heading, observation_line, severity_word, verdict};
use crate::base::duration::format_exact;
use crate::domain::view::check::{CheckReport, NotificationLine, RouteLine};

/// Returns the Markdown, which ends with a newline.
pub fn markdown(report: &CheckReport) -> String {
    let (from, to) = &report.clusters;
    let mut out = String::new();
    put(&mut out, &format!("## cutover: {} (`{from}` → `{to}`)\n", escape(&report.title())));
    let ends = report
        .ends
        .map(|t| format!(", until {} if started at the time of this check", t.strftime("%F %H:%M UTC")))
        .unwrap_or_default();
    put(
        &mut out,
        &format!(
            "**{}** · {} · takes at least {}{ends}\n",
            findings_count(report),
            verdict(report),
            format_exact(report.estimate)
        ),
    );
    if let Some(observations) = observation_line(report) {
        put(&mut out, &format!("{observations}\n"));
    }
    findings(report, &mut out);
    steps(report, &mut out);
    hooks(report, &mut out);
    gates(report, &mut out);
    lists(report, &mut out);
    for lines in report.grouped() {
        routes(report, &lines, &mut out);
    }
    skipped(report, &mut out);
    out
}

fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

/// Escapes a text for a cell of a table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('\n', " ")
}

fn row(out: &mut String, cells: &[String]) {
    put(out, &format!("| {} |", cells.join(" | ")));
}

fn findings(report: &CheckReport, out: &mut String) {
    if report.findings.is_empty() {
        return;
    }
    put(out, "### Findings\n\n| | code | finding |\n|---|---|---|");
    for finding in &report.findings {
        let reason = finding.accepted.as_ref().map(|r| format!(" (accepted: {})", escape(r))).unwrap_or_default();
        row(
            out,
            &[
                severity_word(finding).to_owned(),
                finding.code.name().to_owned(),
                format!("{}{reason}", escape(&finding.message)),
            ],
        );
    }
    put(out, "");
    for finding in report.findings.iter().filter(|f| f.accepted.is_none()) {
        if let Some(help) = &finding.help {
            put(
                out,
                &format!(
                    "<details><summary>{}: what to do</summary>\n\n```text\n{help}\n```\n\n</details>\n",
                    finding.code.name()
                ),
            );
        }
    }
}

fn steps(report: &CheckReport, out: &mut String) {
    let timed = report.steps.iter().any(|s| s.clock.is_some());
    let when = if timed { "earliest start" } else { "starts after" };
    put(out, &format!("### Steps\n\n| step | name | action | {when} |\n|--:|---|---|--:|"));
    for step in &report.steps {
        let name = step.name.as_deref().map(escape).unwrap_or_default();
        let when = step.clock.clone().unwrap_or_else(|| if timed { "never".into() } else { format_exact(step.begins) });
        row(out, &[step.number.to_string(), name, escape(&step.action), when]);
    }
    put(out, "");
}

fn hooks(report: &CheckReport, out: &mut String) {
    if report.hooks.is_empty() {
        return;
    }
    put(out, "### Hooks\n\n| when | name | action | a failure |\n|---|---|---|---|");
    for hook in &report.hooks {
        let failure = if hook.required { "fails the run" } else { "is ignored" };
        row(
            out,
            &[
                hook.when.clone(),
                hook.name.as_deref().map(escape).unwrap_or_default(),
                escape(&hook.action),
                failure.to_owned(),
            ],
        );
    }
    put(out, "");
}

fn gates(report: &CheckReport, out: &mut String) {
    if report.gates.is_empty() {
        return;
    }
    put(out, "### Metric gates\n\n| gate | source | requires | effect | now |\n|---|---|---|---|---|");
    for gate in &report.gates {
        let scope = if gate.scope.is_empty() { String::new() } else { format!(" ({})", gate.scope) };
        let cells = [
            format!("{}{scope}", gate.gate),
            gate.source.clone(),
            gate.condition.clone(),
            gate.effect.clone(),
            answer(gate),
        ];
        row(out, &cells.map(|cell| escape(&cell)));
    }
    put(out, "");
}

/// Appends the notifications and the hours.
fn lists(report: &CheckReport, out: &mut String) {
    let notification = |n: &NotificationLine| {
        let problem = n
            .problem
            .as_ref()
            .map_or_else(String::new, |why| format!(". **This notification cannot be delivered**: {why}"));
        format!("{}: {}{problem}", n.to, n.on.join(", "))
    };
    let notifications: Vec<_> = report.notifications.iter().map(notification).collect();
    for (heading, lines) in [("Notifications", &notifications), ("Hours", &report.hours)] {
        if !lines.is_empty() {
            put(out, &format!("### {heading}\n"));
            for line in lines {
                put(out, &format!("- {}", escape(line)));
            }
            put(out, "");
        }
    }
}

fn routes(report: &CheckReport, lines: &[&RouteLine], out: &mut String) {
    let Some(first) = lines.first() else { return };
    put(out, &format!("### {}\n", escape(&heading(lines))));
    let names = columns(&first.weights);
    let head: Vec<String> =
        std::iter::once("weights after".to_owned()).chain(names.iter().map(|n| format!("`{n}`"))).collect();
    row(out, &head);
    put(out, &format!("|---|{}", "--:|".repeat(names.len())));
    for weights in &first.weights {
        let mut cells = vec![escape(&report.step_title(weights.step))];
        match &weights.groups {
            Ok(groups) => cells.extend(names.iter().map(|n| cell(groups, n))),
            Err(why) => {
                cells.push(format!("**{}**", escape(why)));
                cells.extend(names.iter().skip(1).map(|_| String::new()));
            }
        }
        row(out, &cells);
    }
    let summary = if lines.len() == 1 { "the route" } else { "the routes" };
    put(out, &format!("\n<details><summary>{summary}</summary>\n"));
    for line in lines {
        let conditions =
            if line.conditions.is_empty() { String::new() } else { format!(": {}", escape(&line.conditions)) };
        put(out, &format!("- {}{conditions}", line.label));
    }
    put(out, "\n</details>\n");
}

fn skipped(report: &CheckReport, out: &mut String) {
    if report.skipped.is_empty() {
        return;
    }
    put(out, "### Not selected\n\n| load balancer | route | conditions | reason |\n|---|---|---|---|");
    for skipped in &report.skipped {
        let why = escape(&skipped.reason.to_string());
        row(out, &[escape(&skipped.load_balancer), skipped.route.clone(), escape(&skipped.conditions), why]);
    }
}
