//! Renders the report as one HTML page without external resources: no script, no font, no image.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::chart;
use super::clients::ClientRow;
use super::{EventKind, ReportInput, StepHistory};
use crate::base::number::count;
use crate::cli::render::events::EventLines;

/// Returns the HTML page of a run.
pub fn html(input: &ReportInput) -> String {
    html_of_runs(std::slice::from_ref(input))
}

/// Returns one HTML page of several runs, in this order: the runs of a plan's waves.
pub fn html_of_runs(inputs: &[ReportInput]) -> String {
    let [first, ..] = inputs else { return String::new() };
    let name = match inputs {
        [one] => format!("{}, {}", one.title(), one.badge().0.to_lowercase()),
        many => format!("{}, {}", first.history.state.started.plan, count(many.len(), "run")),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The page contains text from others, which must not load or run anything.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { "cutover: " (name) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                @for input in inputs { main { (run(input)) } }
                footer {
                    "Made by cutover " (env!("CARGO_PKG_VERSION"))
                    @if first.is_rehearsal() { " from a rehearsal, which keeps no journal." }
                    @else if inputs.len() > 1 {
                        " from the journals of " (count(inputs.len(), "run")) " of the plan " (first.history.state.started.plan) "."
                    }
                    @else { " from the journal of the run " (first.history.state.run) "." }
                }
            }
        }
    };
    page.into_string()
}

fn run(input: &ReportInput) -> Markup {
    let (badge, kind) = input.badge();
    html! {
        header {
            h1 { (input.title()) " " span class={ "badge " (kind.name()) } { (badge) } }
            p.verdict { (input.verdict()) }
            @if let Some(clients) = input.clients_text() { p.verdict { (clients) } }
            p.zone { "All times are " (input.zone()) "." }
        }
        (what_to_do(input))
        (chart(input))
        section { h2 { "What happened" } (moments(input)) }
        section { h2 { "Steps" } (steps(input)) }
        @if input.clients.is_some() { section { h2 { "What clients saw" } (clients(input)) } }
        @if !input.history.gates.is_empty() { section { h2 { "Metric gates" } (gates(input)) } }
        section { h2 { "What was changed" } (changes(input)) }
        section {
            h2 { "The run" }
            dl { @for (name, value) in input.facts() { dt { (name) } dd { (value) } } }
        }
        section { (all_lines(input)) }
    }
}

fn moments(input: &ReportInput) -> Markup {
    html! {
        ol.moments {
            @for (at, kind, text) in input.important_events() {
                li class=(kind.name()) { time { (input.time(at)) } span { (text) } }
            }
        }
    }
}

/// Returns the actions that a person must take, and the commands to type next.
fn what_to_do(input: &ReportInput) -> Markup {
    let (actions, commands) = (input.actions(), input.commands());
    html! {
        @if !actions.is_empty() || !commands.is_empty() {
            section {
                h2 { "What to do" }
                @if !actions.is_empty() { ul.actions { @for action in actions { li { (action) } } } }
                @if !commands.is_empty() {
                    p.zone { (input.commands_text()) }
                    pre.commands { (commands.join("\n")) }
                }
            }
        }
    }
}

/// Returns a table. On a narrow page each row is a block, and each cell has its heading.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Markup {
    html! {
        table {
            thead { tr { @for heading in headings { th { (heading) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for ((class, text), heading) in row.iter().zip(headings) {
                            @if !text.0.is_empty() { td class=(class) data-label=(heading) { (text) } }
                            @else { td.empty {} }
                        }
                    }
                }
            }
        }
    }
}

/// The CSS class and the content of a cell.
type Cell = (&'static str, Markup);

fn cell(class: &'static str, text: impl std::fmt::Display) -> Cell {
    (class, html! { (text) })
}

fn steps(input: &ReportInput) -> Markup {
    let row = |step: &StepHistory| {
        let (began, took) = input.start_and_duration(step);
        let (result, kind) = input.result(step);
        vec![
            cell("number", step.number),
            cell("", &step.label),
            cell("number", began),
            cell("number", took),
            cell(kind.name(), result),
            ("", html! { @for note in input.notes(step) { div { (note) } } }),
        ]
    };
    let headings = ["step", "action", "started", "duration", "result", "waits and operators"];
    table(&headings, input.history.steps.iter().map(row))
}

fn clients(input: &ReportInput) -> Markup {
    let row = |seen: ClientRow| {
        let kind = if seen.errors > 0 { EventKind::Trouble } else { EventKind::Good };
        let (requests, errors) = (cell("number", seen.requests), cell(kind.name(), seen.errors));
        vec![cell("", seen.step), cell("", seen.shares), requests, errors]
    };
    table(&["step", "shares of requests", "requests", "errors"], input.client_rows().into_iter().map(row))
}

fn gates(input: &ReportInput) -> Markup {
    html! {
        ol.moments {
            @for (name, text, kind) in input.gates() {
                li class=(kind.name()) { time { (name) } span { (text) } }
            }
        }
    }
}

fn changes(input: &ReportInput) -> Markup {
    html! {
        @for (change, routes) in input.changes() {
            details {
                summary { (count(routes.len(), "route")) ": " (change) }
                p { (routes.join(", ")) }
            }
        }
    }
}

/// Returns all lines of the run, as the terminal showed them.
fn all_lines(input: &ReportInput) -> Markup {
    let lines = EventLines::new(input.style.clone());
    let rehearsed = input.clients.is_some();
    let mut lines = if rehearsed { lines.of_rehearsal(input.view.run.clone()) } else { lines };
    let all: Vec<_> = input.records.iter().flat_map(|r| lines.lines_for(r)).collect();
    html! {
        details { summary { "All " (count(all.len(), "line")) " of the run" } pre { (all.join("\n")) } }
    }
}
