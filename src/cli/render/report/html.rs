//! The report as one HTML page without external resources: no script, no font, no image.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ReportInput;
use super::chart::chart;
use crate::base::number::count;
use crate::cli::render::events::EventLines;

/// The page.
pub fn html(told: &ReportInput) -> String {
    let state = &told.history.state;
    let (badge, kind) = told.badge();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The page contains foreign text, which must not load or run anything.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { "cutover: " (state.started.plan) ", " (badge.to_lowercase()) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main {
                    header {
                        h1 { (state.started.plan) " " span class={ "badge " (kind.name()) } { (badge) } }
                        p.verdict { (told.verdict()) }
                    }
                    (chart(told))
                    section { h2 { "What happened" } (moments(told)) }
                    section { h2 { "Steps" } (steps(told)) }
                    @if !told.history.gates.is_empty() { section { h2 { "Metric gates" } (gates(told)) } }
                    section { h2 { "What was changed" } (changes(told)) }
                    section {
                        h2 { "The run" }
                        dl { @for (name, value) in told.facts() { dt { (name) } dd { (value) } } }
                    }
                    section { (everything(told)) }
                }
                footer {
                    "Made by cutover " (env!("CARGO_PKG_VERSION")) " from the journal of the run " (state.run) "."
                }
            }
        }
    };
    page.into_string()
}

fn moments(told: &ReportInput) -> Markup {
    html! {
        ol.moments {
            @for (at, kind, text) in told.important_events() {
                li class=(kind.name()) { time { (told.time(at)) } span { (text) } }
            }
        }
    }
}

fn steps(told: &ReportInput) -> Markup {
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
                    @for step in &told.history.steps {
                        @let (began, took) = told.took(step);
                        @let (result, kind) = told.result(step);
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

fn gates(told: &ReportInput) -> Markup {
    html! {
        ol.moments {
            @for (name, text, kind) in told.gates() {
                li class=(kind.name()) { time { (name) } span { (text) } }
            }
        }
    }
}

fn changes(told: &ReportInput) -> Markup {
    html! {
        @for (change, routes) in told.changes() {
            details {
                summary { (count(routes.len(), "route")) ": " (change) }
                p { (routes.join(", ")) }
            }
        }
    }
}

/// All lines of the run, as the terminal showed them.
fn everything(told: &ReportInput) -> Markup {
    let mut lines = EventLines::new(told.style.clone());
    let all: Vec<_> = told.records.iter().flat_map(|r| lines.lines_for(r)).collect();
    html! {
        details { summary { "All " (count(all.len(), "line")) " of the run" } pre { (all.join("\n")) } }
    }
}
