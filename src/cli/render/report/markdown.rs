//! The report as Markdown, for a ticket.

use super::{ReportInput, StepHistory};
use crate::base::number::count;

/// The report; ends with a newline.
pub fn markdown(told: &ReportInput) -> String {
    let mut out =
        vec![format!("## cutover: {} – {}", escape(&told.history.state.started.plan), told.badge().0), String::new()];
    out.extend([escape(&told.verdict()), String::new(), "| | |".into(), "|---|---|".into()]);
    out.extend(told.facts().iter().map(|(name, value)| format!("| {name} | {} |", escape(value))));
    out.extend([
        String::new(),
        "### Steps".into(),
        String::new(),
        "| step | action | started | duration | result | waits and operators |".into(),
    ]);
    out.push("|--:|---|---|--:|---|---|".into());
    out.extend(told.history.steps.iter().map(|step| row(told, step)));
    out.extend([String::new(), "### What happened".into(), String::new()]);
    out.extend(told.important_events().iter().map(|(at, _, text)| format!("- `{}` {}", told.time(*at), escape(text))));
    if !told.history.gates.is_empty() {
        out.extend([String::new(), "### Metric gates".into(), String::new()]);
        out.extend(told.gates().iter().map(|(name, text, _)| format!("- {}: {}", escape(name), escape(text))));
    }
    out.extend([String::new(), "### What was changed".into(), String::new()]);
    for (change, routes) in told.changes() {
        out.push(format!("- {}: {}", count(routes.len(), "route"), escape(&change)));
        out.push(format!("  <details><summary>routes</summary>{}</details>", escape(&routes.join(", "))));
    }
    out.join("\n") + "\n"
}

fn row(told: &ReportInput, step: &StepHistory) -> String {
    let (began, took) = told.took(step);
    let notes = escape(&ReportInput::notes(step).join("; "));
    format!("| {} | {} | {began} | {took} | {} | {notes} |", step.number, escape(&step.label), told.result(step).0)
}

/// Escapes text so that it is not read as Markdown or HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "\\|")
        .replace('*', "\\*")
        .replace('`', "\\`")
        .replace('\n', " ")
}
