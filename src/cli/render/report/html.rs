//! Renders the report as one HTML page without external resources: no script, no font, no image.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ReportInput;
use super::chart::chart;
use crate::base::number::count;
use crate::cli::render::events::EventLines;

/// Returns the HTML page.
pub fn html(input: &ReportInput) -> String {
    let state = &input.history.state;
    let (badge, kind) = input.badge();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The page contains text from others, which must not load or run anything.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { "cutover: " (state.started.plan) ", " (badge.to_lowercase()) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main {
                    header {
                        h1 { (state.started.plan) " " span class={ "badge " (kind.name()) } { (badge) } }
                        p.verdict { (input.verdict()) }
                    }
                    (chart(input))
                    section { h2 { "What happened" } (moments(input)) }
                    section { h2 { "Steps" } (steps(input)) }
                    @if !input.history.gates.is_empty() { section { h2 { "Metric gates" } (gates(input)) } }
                    section { h2 { "What was changed" } (changes(input)) }
                    section {
                        h2 { "The run" }
                        dl { @for (name, value) in input.facts() { dt { (name) } dd { (value) } } }
                    }
                    section { (all_lines(input)) }
                }
                footer {
                    "Made by cutover " (env!("CARGO_PKG_VERSION")) " from the journal of the run " (state.run) "."
                }
            }
        }
    };
    page.into_string()
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

fn steps(input: &ReportInput) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "" } th { "step" } th { "started" } th { "duration" } th { "result" }
                        th { "waits and operators" }
                    }
                }
                tbody {
                    @for step in &input.history.steps {
                        @let (began, took) = input.start_and_duration(step);
                        @let (result, kind) = input.result(step);
                        tr {
                            td.number { (step.number) } td { (step.label) } td.number { (began) } td.number { (took) }
                            td class=(kind.name()) { (result) }
                            td { @for note in ReportInput::notes(step) { div { (note) } } }
                        }
                    }
                }
            }
        }
    }
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
    let mut lines = EventLines::new(input.style.clone());
    let all: Vec<_> = input.records.iter().flat_map(|r| lines.lines_for(r)).collect();
    html! {
        details { summary { "All " (count(all.len(), "line")) " of the run" } pre { (all.join("\n")) } }
    }
}
