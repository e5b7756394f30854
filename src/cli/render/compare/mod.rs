//! Renders the findings of `cutover compare` as text, as Markdown for a pull request, or as JSON lines. Pure.

pub mod watch;

use std::fmt::Write;

use serde_json::json as object;

use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::{hang, wrap};
use crate::plan::model::Plan;

/// A group of findings with the same meaning for the cutover.
struct Meaning {
    title: &'static str,
    tone: Tone,
    contains: fn(&Finding) -> bool,
}

const MEANINGS: [Meaning; 5] = [
    Meaning { title: "stops the cutover", tone: Tone::Bad, contains: |f| f.refuses() },
    Meaning {
        title: "look at it",
        tone: Tone::Warn,
        contains: |f| f.severity == Severity::Warning && f.accepted.is_none(),
    },
    Meaning {
        title: "good to know",
        tone: Tone::Strong,
        contains: |f| f.severity == Severity::Info && f.accepted.is_none() && f.code != Code::CUT190,
    },
    Meaning { title: "unknown", tone: Tone::Strong, contains: |f| f.code == Code::CUT190 && f.accepted.is_none() },
    Meaning { title: "accepted by the plan", tone: Tone::Faint, contains: |f| f.accepted.is_some() },
];

fn grouped(findings: &[Finding]) -> impl Iterator<Item = (&'static Meaning, Vec<&Finding>)> {
    let group = |meaning: &'static Meaning| (meaning, findings.iter().filter(|f| (meaning.contains)(f)).collect());
    MEANINGS.iter().map(group).filter(|(_, group): &(_, Vec<_>)| !group.is_empty())
}

/// Returns the verdict.
fn verdict(plan: &Plan, findings: &[Finding]) -> String {
    let to = &plan.strategy.to;
    let errors = findings.iter().filter(|finding| finding.refuses()).count();
    let unknown = findings.iter().filter(|finding| finding.code == Code::CUT190).count();
    let known = if unknown > 0 { ", as far as it could be read" } else { "" };
    if errors > 0 {
        format!("{to} is not fit to take over: {}", count(errors, "error"))
    } else if findings.iter().any(|finding| finding.severity == Severity::Warning && finding.accepted.is_none()) {
        format!("{to} is fit to take over{known}; look at the warnings")
    } else {
        format!("{to} is fit to take over{known}")
    }
}

/// Returns the lines of the plan that accept the findings, without those that are unknown or accepted.
fn accept_lines(findings: &[Finding]) -> Vec<String> {
    let open = findings.iter().filter(|f| f.accepted.is_none() && f.severity > Severity::Info);
    open.map(|f| format!("- {{code: {}, object: {:?}, reason: …}}", f.code.name(), f.subject)).collect()
}

/// Returns the text, which ends with a newline.
pub fn text(plan: &Plan, findings: &[Finding], style: &Style) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut put = |line: &str| {
        let _ = writeln!(out, "{line}");
    };
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    put(&format!("{}: {from} {} {to}", style.paint(Tone::Strong, &plan.name), style.mark("→", "->")));
    for (meaning, group) in grouped(findings) {
        put(&format!("\n{}", style.paint(meaning.tone, meaning.title)));
        for finding in group {
            put(&hang(&format!("  {}  ", finding.code.name()), 4, &finding.message, style.width));
            let help = match &finding.accepted {
                Some(reason) => format!("accepted: {reason}"),
                None => finding.help.clone().unwrap_or_default(),
            };
            for line in wrap(&help, style.width.map(|width| width.saturating_sub(4))) {
                put(&format!("    {}", style.paint(Tone::Faint, &line)));
            }
        }
    }
    put_accept_lines(findings, &mut out);
    let _ = writeln!(out, "\n{}", verdict(plan, findings));
    out
}

fn put_accept_lines(findings: &[Finding], out: &mut String) {
    let accept = accept_lines(findings);
    if !accept.is_empty() {
        let _ = writeln!(out, "\nto accept a difference, write its line below `accept` in the plan:");
        for line in &accept {
            let _ = writeln!(out, "  {line}");
        }
    }
}

/// Returns the Markdown, which ends with a newline.
pub fn markdown(plan: &Plan, findings: &[Finding]) -> String {
    let escape = |text: &str| text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('\n', " ");
    let mut out = format!(
        "## cutover compare: {} (`{}` → `{}`)\n\n**{}**\n",
        plan.name,
        plan.strategy.from,
        plan.strategy.to,
        verdict(plan, findings)
    );
    for (meaning, group) in grouped(findings) {
        let _ = write!(out, "\n### {}\n\n| code | what differs | what to do |\n|---|---|---|\n", meaning.title);
        for f in group {
            let help = f.accepted.as_ref().map(|r| format!("accepted: {r}")).or_else(|| f.help.clone());
            let help = escape(&help.unwrap_or_default());
            let _ = writeln!(out, "| {} | {} | {help} |", f.code.name(), escape(&f.message));
        }
    }
    out
}

/// Returns the findings as JSON, one object per line with the event `finding`, and at the end the event `summary`.
pub fn json(plan: &Plan, findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "{}", event("finding", finding));
    }
    let _ = writeln!(out, "{}", summary(plan, findings));
    out
}

/// Returns a finding as a JSON object with the name of an event.
fn event(name: &str, finding: &Finding) -> serde_json::Value {
    let mut line = serde_json::to_value(finding).unwrap_or_default();
    line["event"] = name.into();
    line
}

/// Returns the verdict as a JSON object.
fn summary(plan: &Plan, findings: &[Finding]) -> serde_json::Value {
    let number = |severity| findings.iter().filter(|f| f.severity == severity && f.accepted.is_none()).count();
    object!({
        "event": "summary",
        "plan": plan.name,
        "from": plan.strategy.from,
        "to": plan.strategy.to,
        "fit": !findings.iter().any(Finding::refuses),
        "errors": number(Severity::Error),
        "warnings": number(Severity::Warning),
        "unknown": findings.iter().filter(|f| f.code == Code::CUT190).count(),
    })
}
