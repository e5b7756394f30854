//! The charts of a report: the shares over time, below them the health and a rehearsal's failed requests, and marks for
//! steps and events. A second chart enlarges an incident. The shapes are stretched to the width of the page, so texts
//! are next to the shapes and not inside.

mod marks;
mod span;

use maud::{Markup, html};

use super::ReportInput;
use crate::base::number::percent;
use crate::cli::render::events::counts;
use crate::domain::health::HealthCounts;
use marks::marks;
use span::{Span, round};

/// The height of a row in its own units.
const HEIGHT: f64 = 100.0;
/// The minimum height of a block of failed requests, so that one failure is visible.
const MIN_HEIGHT: f64 = 6.0;
/// The number of colors; further clusters share the last one.
const COLORS: usize = 4;

/// Returns the number of targets in one state.
type Count = fn(&HealthCounts) -> u32;

/// The states of targets, from the bottom of a row to its top: the CSS class, the name, and how many there are.
const STATES: [(&str, &str, Count); 5] = [
    ("healthy", "healthy", |c| c.healthy),
    ("initial", "initial", |c| c.initial),
    ("draining", "draining", |c| c.draining),
    ("unhealthy", "unhealthy", |c| c.unhealthy),
    ("idle", "unused or unavailable", |c| c.unused + c.unavailable),
];

/// A rectangle of a row: its horizontal and vertical extent, its CSS class, and its tooltip.
struct Block {
    x: (f64, f64),
    y: (f64, f64),
    class: String,
    title: String,
}

/// Returns the chart of the run, and a second chart of its incident if the incident is too short to be visible in the
/// first.
pub fn chart(input: &ReportInput) -> Markup {
    html! {
        (chart_rows(input, Span::whole(input)))
        @if let Some(span) = Span::incident(input) {
            section { h2 { "The incident, enlarged" } (chart_rows(input, span)) }
        }
        (legend(input))
    }
}

/// Returns the rows of a span, with its marks above and its times below.
fn chart_rows(input: &ReportInput, span: Span) -> Markup {
    let health: Vec<_> = input.history.clusters.iter().filter(|c| max_targets(input, c) > 0).collect();
    html! {
        div.chart {
            div.marks { (marks(input, span)) }
            div.row {
                div.name { "share" }
                div.plot.shares { (row(&shares(input, span))) div.scale { "100 %" } div.scale.half { "50 %" } }
            }
            @for cluster in health {
                div.row {
                    div.name { "health of " (cluster) }
                    div.plot.health { (row(&targets(input, span, cluster))) div.scale { (max_targets(input, cluster)) } }
                }
            }
            @if let Some((blocks, most)) = failures(input, span) {
                div.row {
                    div.name { "failed requests" }
                    div.plot.failures { (row(&blocks)) div.scale { (percent(most)) " %" } }
                }
            }
            div.times { @for part in 0..=3 { span { (input.time(span.part(part, 3))) } } }
        }
    }
}

/// Returns the meaning of the colors that occur, and the time zone.
fn legend(input: &ReportInput) -> Markup {
    let all = || input.history.health.iter().flat_map(|h| h.targets.values());
    let states = STATES.iter().filter(|(_, _, number)| all().any(|counts| number(counts) > 0));
    html! {
        p.legend {
            @for (n, cluster) in input.history.clusters.iter().enumerate() {
                span.key { i class={ "fill c" (n.min(COLORS)) } {} (cluster) }
            }
            @for (class, name, _) in states { span.key { i class={ "fill " (class) } {} (name) } }
            span.key { i.fill.trouble {} "problem" } span.key { i.fill.person {} "operator" }
            @if input.clients.as_ref().is_some_and(|c| !c.faults.is_empty()) {
                span.key { i.fill.fault {} "fault of the scenario" }
            }
            span.key { "numbers: steps; times: " (input.zone()) }
        }
    }
}

fn row(blocks: &[Block]) -> Markup {
    html! {
        svg viewBox={ "0 0 " (span::WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" {
            @for b in blocks {
                rect
                    class=(b.class)
                    x=(round(b.x.0))
                    y=(round(HEIGHT - b.y.1))
                    width=(round(b.x.1 - b.x.0))
                    height=(round(b.y.1 - b.y.0))
                {
                    title { (b.title) }
                }
            }
        }
    }
}

/// Returns the mean shares of the clusters over all routes, stacked, with the new cluster at the bottom.
fn shares(input: &ReportInput, span: Span) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (Span { from, to }, traffic) in span.blocks(input.history.traffic.iter().map(|t| (t.at, t))) {
        let apart = |cluster: &str| traffic.shares.get(cluster).is_some_and(|(least, most)| least < most);
        let one = |cluster: &str| match traffic.shares.get(cluster) {
            Some((least, most)) if least < most => format!("{cluster} {} to {} %", percent(*least), percent(*most)),
            Some((share, _)) => format!("{cluster} {} %", percent(*share)),
            None => format!("{cluster} 0 %"),
        };
        let said = input.history.clusters.iter().map(|c| one(c)).collect::<Vec<_>>().join(", ");
        let title = format!("{} – {}: {said}", input.time(from), input.time(to));
        let mut ground = 0.0;
        let upwards = [1, 0].into_iter().chain(2..input.history.clusters.len());
        for (n, cluster) in upwards.filter_map(|n| input.history.clusters.get(n).map(|c| (n, c))) {
            let share = traffic.mean.get(cluster).copied().unwrap_or(0.0);
            if share <= 0.0 {
                continue;
            }
            let class = format!("c{}{}", n.min(COLORS), if apart(cluster) { " apart" } else { "" });
            blocks.push(Block {
                x: (span.x(from), span.x(to)),
                y: (ground, ground + share),
                class,
                title: title.clone(),
            });
            ground += share;
        }
    }
    blocks
}

/// Returns the targets of a cluster by their state, stacked, with the healthy targets at the bottom.
fn targets(input: &ReportInput, span: Span, cluster: &str) -> Vec<Block> {
    let most = f64::from(max_targets(input, cluster).max(1));
    let points = input.history.health.iter().filter_map(|h| Some((h.at, *h.targets.get(cluster)?)));
    let stack = |(part, all): (Span, HealthCounts)| {
        let title =
            format!("{} – {}: targets of {cluster}: {}", input.time(part.from), input.time(part.to), counts(all));
        let mut ground = 0.0;
        STATES.map(|(class, _, number)| {
            let y = (ground, ground + f64::from(number(&all)) / most * HEIGHT);
            ground = y.1;
            Block { x: (span.x(part.from), span.x(part.to)), y, class: class.into(), title: title.clone() }
        })
    };
    span.blocks(points).into_iter().flat_map(stack).filter(|b| b.y.1 > b.y.0).collect()
}

/// Returns the failed part of the clients' requests over time and its highest value in this span, in percent; `None`
/// without failed requests in the whole rehearsal.
#[allow(clippy::cast_precision_loss)] // numbers of requests
fn failures(input: &ReportInput, span: Span) -> Option<(Vec<Block>, f64)> {
    let clients = input.clients.as_ref().filter(|clients| clients.errors > 0)?;
    let parts: Vec<_> = span.differences(&clients.totals).into_iter().filter(|(_, _, failed)| *failed > 0).collect();
    let rate = |requests: u64, failed: u64| (failed as f64 / requests.max(failed) as f64) * HEIGHT;
    let most = parts.iter().map(|(_, requests, failed)| rate(*requests, *failed)).fold(0.0, f64::max);
    let block = |(part, requests, failed): (Span, u64, u64)| Block {
        x: (span.x(part.from), span.x(part.to)),
        y: (0.0, (rate(requests, failed) / most * HEIGHT).max(MIN_HEIGHT)),
        class: "failed".into(),
        title: format!("{} – {}: {failed} of {requests} requests failed", input.time(part.from), input.time(part.to)),
    };
    Some((parts.into_iter().map(block).collect(), most))
}

/// Returns the highest number of targets that the groups of a cluster had, in any state.
fn max_targets(input: &ReportInput, cluster: &str) -> u32 {
    let all = |counts: &HealthCounts| STATES.iter().map(|(_, _, number)| number(counts)).sum();
    input.history.health.iter().filter_map(|h| h.targets.get(cluster)).map(all).max().unwrap_or(0)
}
