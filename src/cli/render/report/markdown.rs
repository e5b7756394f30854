//! Renders the report as Markdown, for a ticket.

use super::{ReportInput, StepHistory};
use crate::base::number::count;

/// Returns the Markdown, which ends with a newline.
pub fn markdown(input: &ReportInput) -> String {
    let mut out = vec![format!("## cutover: {} – {}", escape(&input.title()), input.badge().0), String::new()];
    let clients = input.clients_text().map(|text| format!(" {text}")).unwrap_or_default();
    out.extend([escape(&format!("{}{clients} All times are {}.", input.verdict(), input.zone())), String::new()]);
    let (actions, commands) = (input.actions(), input.commands());
    if !actions.is_empty() {
        out.extend(actions.iter().map(|action| format!("- {}", escape(action))));
        out.push(String::new());
    }
    if !commands.is_empty() {
        out.extend(["```sh".into(), commands.join("\n"), "```".into(), String::new()]);
    }
    out.extend(["| | |".into(), "|---|---|".into()]);
    out.extend(input.facts().iter().map(|(name, value)| format!("| {name} | {} |", escape(value))));
    out.extend([
        String::new(),
        "### Steps".into(),
        String::new(),
        "| step | action | started | duration | result | waits and operators |".into(),
    ]);
    out.push("|--:|---|---|--:|---|---|".into());
    out.extend(input.history.steps.iter().map(|step| row(input, step)));
    out.extend([String::new(), "### What happened".into(), String::new()]);
    out.extend(
        input.important_events().iter().map(|(at, _, text)| format!("- `{}` {}", input.time(*at), escape(text))),
    );
    if !input.history.gates.is_empty() {
        out.extend([String::new(), "### Metric gates".into(), String::new()]);
        out.extend(input.gates().iter().map(|(name, text, _)| format!("- {}: {}", escape(name), escape(text))));
    }
    out.extend([String::new(), "### What was changed".into(), String::new()]);
    for (change, routes) in input.changes() {
        out.push(format!("- {}: {}", count(routes.len(), "route"), escape(&change)));
        out.push(format!("  <details><summary>routes</summary>{}</details>", escape(&routes.join(", "))));
    }
    out.join("\n") + "\n"
}

fn row(input: &ReportInput, step: &StepHistory) -> String {
    let (began, took) = input.start_and_duration(step);
    let notes = escape(&input.notes(step).join("; "));
    format!("| {} | {} | {began} | {took} | {} | {notes} |", step.number, escape(&step.label), input.result(step).0)
}

/// Escapes a text, so that it is not read as Markdown or HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "\\|")
        .replace('*', "\\*")
        .replace('`', "\\`")
        .replace('\n', " ")
}
