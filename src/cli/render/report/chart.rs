//! The chart of a report: the shares over time, the health below the shares, and marks for steps and events. The shapes
//! are stretched to the width of the page, so texts are beside the shapes and not inside.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{EventKind, ReportInput};
use crate::base::number::percent;

/// Width of the chart, in units of the SVG.
const WIDTH: f64 = 1000.0;
/// Height of a row, in units of the SVG.
const HEIGHT: f64 = 100.0;
/// Minimum distance between two points, in units of the SVG; closer points are drawn as one.
const MIN_DISTANCE: f64 = 0.5;
/// Number of colors. Further clusters share the last color.
const COLORS: usize = 4;

/// A rectangle in a row: horizontal and vertical extent, CSS class, and tooltip.
struct Block {
    x: (f64, f64),
    y: (f64, f64),
    class: String,
    title: String,
}

/// Returns the chart.
pub fn chart(input: &ReportInput) -> Markup {
    let clusters = &input.history.clusters;
    let health: Vec<_> = clusters.iter().filter(|c| max_targets(input, c) > 0).collect();
    html! {
        div.chart {
            div.marks { (marks(input)) }
            div.row {
                div.name { "share" }
                div.plot.shares { (row(&shares(input))) div.scale { "100 %" } div.scale.half { "50 %" } }
            }
            @for cluster in health {
                div.row {
                    div.name { "health of " (cluster) }
                    div.plot.health { (row(&targets(input, cluster))) div.scale { (max_targets(input, cluster)) } }
                }
            }
            div.times { (times(input)) }
            p.legend {
                @for (n, cluster) in clusters.iter().enumerate() {
                    span.key { i class={ "fill c" (n.min(COLORS)) } {} (cluster) }
                }
                span.key { i.fill.well {} "healthy" } span.key { i.fill.ill {} "not healthy" }
                span.key { i.fill.trouble {} "problem" } span.key { i.fill.person {} "operator" }
            }
        }
    }
}

fn row(blocks: &[Block]) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" {
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
fn shares(input: &ReportInput) -> Vec<Block> {
    let points = drop_invisible(input, input.history.traffic.iter().map(|t| (t.at, t)));
    let mut blocks = Vec::new();
    for (from, to, traffic) in spans(input, &points) {
        let differs = |cluster: &str| traffic.shares.get(cluster).is_some_and(|(least, most)| least < most);
        let share_text = |cluster: &str| match traffic.shares.get(cluster) {
            Some((least, most)) if least < most => format!("{cluster} {} to {} %", percent(*least), percent(*most)),
            Some((share, _)) => format!("{cluster} {} %", percent(*share)),
            None => format!("{cluster} 0 %"),
        };
        let shares_text = input.history.clusters.iter().map(|c| share_text(c)).collect::<Vec<_>>().join(", ");
        let title = format!("{} – {}: {shares_text}", input.time(from), input.time(to));
        let mut base = 0.0;
        let upwards = [1, 0].into_iter().chain(2..input.history.clusters.len());
        for (n, cluster) in upwards.filter_map(|n| input.history.clusters.get(n).map(|c| (n, c))) {
            let share = traffic.mean.get(cluster).copied().unwrap_or(0.0);
            if share <= 0.0 {
                continue;
            }
            let class = format!("c{}{}", n.min(COLORS), if differs(cluster) { " apart" } else { "" });
            blocks.push(Block {
                x: (x(input, from), x(input, to)),
                y: (base, base + share),
                class,
                title: title.clone(),
            });
            base += share;
        }
    }
    blocks
}

/// Returns the targets of a cluster, stacked, with the healthy targets at the bottom.
fn targets(input: &ReportInput, cluster: &str) -> Vec<Block> {
    let max = f64::from(max_targets(input, cluster).max(1));
    let points =
        drop_invisible(input, input.history.health.iter().filter_map(|h| Some((h.at, *h.targets.get(cluster)?))));
    let block = |(from, to, (healthy, all)): (Timestamp, Timestamp, (u32, u32))| {
        let title =
            format!("{} – {}: {healthy} of {all} targets of {cluster} healthy", input.time(from), input.time(to));
        let x = (x(input, from), x(input, to));
        let high = |n: u32| f64::from(n) / max * HEIGHT;
        let well = Block { x, y: (0.0, high(healthy)), class: "well".into(), title: title.clone() };
        let ill = Block { x, y: (high(healthy), high(all)), class: "ill".into(), title };
        [well, ill]
    };
    spans(input, &points).into_iter().flat_map(block).filter(|b| b.y.1 > b.y.0).collect()
}

/// Returns the highest number of targets that the groups of a cluster had.
fn max_targets(input: &ReportInput, cluster: &str) -> u32 {
    input.history.health.iter().filter_map(|h| h.targets.get(cluster)).map(|(_, all)| *all).max().unwrap_or(0)
}

/// Drops points that are too close to each other to be visible.
fn drop_invisible<T>(input: &ReportInput, points: impl Iterator<Item = (Timestamp, T)>) -> Vec<(Timestamp, T)> {
    let mut visible: Vec<(Timestamp, T)> = Vec::new();
    for (at, point) in points {
        match visible.last_mut() {
            Some(last) if x(input, at) - x(input, last.0) < MIN_DISTANCE => last.1 = point,
            _ => visible.push((at, point)),
        }
    }
    visible
}

/// Returns each point with its time span, which lasts until the next point or until the end.
fn spans<T: Clone>(input: &ReportInput, points: &[(Timestamp, T)]) -> Vec<(Timestamp, Timestamp, T)> {
    let ends = points.iter().skip(1).map(|(at, _)| *at).chain([input.history.time.1]);
    points.iter().zip(ends).map(|((from, point), to)| (*from, to, point.clone())).collect()
}

/// Returns marks for the start of steps, for problems and for operator actions.
fn marks(input: &ReportInput) -> Markup {
    let steps = input.history.steps.iter().filter_map(|s| Some((s.time.0?, s)));
    let moments = input
        .important_events()
        .into_iter()
        .filter(|(_, kind, _)| matches!(kind, EventKind::Trouble | EventKind::Person));
    html! {
        @for (at, step) in steps {
            span.step
                style=(left(input, at))
                title={ (input.time(at)) ": step " (step.number) ", " (step.label) }
            { (step.number) }
        }
        @for (at, kind, text) in moments {
            span class={ "mark " (kind.name()) } style=(left(input, at)) title={ (input.time(at)) ": " (text) } {}
        }
    }
}

/// Returns four times at equal distances.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // milliseconds of a run
fn times(input: &ReportInput) -> Markup {
    let at = |part: i64| {
        let (began, ended) = input.history.time;
        Timestamp::from_millisecond(
            began.as_millisecond() + (ended.as_millisecond() - began.as_millisecond()) * part / 3,
        )
        .unwrap_or(began)
    };
    html! { @for part in 0..=3 { span { (input.time(at(part))) } } }
}

fn left(input: &ReportInput, at: Timestamp) -> String {
    format!("left:{}%", round(x(input, at) / WIDTH * 100.0))
}

#[allow(clippy::cast_precision_loss)] // milliseconds of a run
fn x(input: &ReportInput, at: Timestamp) -> f64 {
    let (began, ended) = input.history.time;
    let length = (ended.as_millisecond() - began.as_millisecond()).max(1);
    (at.as_millisecond() - began.as_millisecond()) as f64 / length as f64 * WIDTH
}

/// Rounds to two digits after the decimal point.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
