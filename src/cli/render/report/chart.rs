//! The chart of a report: the shares over time, the health below them, and marks for steps and events. The shapes are
//! stretched to the width of the page, so texts are beside them, not inside.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{EventKind, ReportInput};
use crate::base::number::percent;

/// The width of the chart in its own units.
const WIDTH: f64 = 1000.0;
/// The height of a row in its own units.
const HEIGHT: f64 = 100.0;
/// Changes closer than this are drawn as one.
const MIN_DISTANCE: f64 = 0.5;
/// The number of colors; further clusters share the last one.
const COLOURS: usize = 4;

/// A rectangle of a row: its horizontal and vertical extent, its CSS class, and its tooltip.
struct Block {
    x: (f64, f64),
    y: (f64, f64),
    class: String,
    title: String,
}

/// The chart.
pub fn chart(told: &ReportInput) -> Markup {
    let clusters = &told.history.clusters;
    let health: Vec<_> = clusters.iter().filter(|c| max_targets(told, c) > 0).collect();
    html! {
        div.chart {
            div.marks { (marks(told)) }
            div.row {
                div.name { "share" }
                div.plot.shares { (row(&shares(told))) div.scale { "100 %" } div.scale.half { "50 %" } }
            }
            @for cluster in health {
                div.row {
                    div.name { "health of " (cluster) }
                    div.plot.health { (row(&targets(told, cluster))) div.scale { (max_targets(told, cluster)) } }
                }
            }
            div.times { (times(told)) }
            p.legend {
                @for (n, cluster) in clusters.iter().enumerate() {
                    span.key { i class={ "fill c" (n.min(COLOURS)) } {} (cluster) }
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

/// The clusters' mean shares over all routes, stacked: the new cluster is at the bottom.
fn shares(told: &ReportInput) -> Vec<Block> {
    let points = drop_invisible(told, told.history.traffic.iter().map(|t| (t.at, t)));
    let mut blocks = Vec::new();
    for (from, to, traffic) in spans(told, &points) {
        let apart = |cluster: &str| traffic.shares.get(cluster).is_some_and(|(least, most)| least < most);
        let one = |cluster: &str| match traffic.shares.get(cluster) {
            Some((least, most)) if least < most => format!("{cluster} {} to {} %", percent(*least), percent(*most)),
            Some((share, _)) => format!("{cluster} {} %", percent(*share)),
            None => format!("{cluster} 0 %"),
        };
        let said = told.history.clusters.iter().map(|c| one(c)).collect::<Vec<_>>().join(", ");
        let title = format!("{} – {}: {said}", told.time(from), told.time(to));
        let mut ground = 0.0;
        let upwards = [1, 0].into_iter().chain(2..told.history.clusters.len());
        for (n, cluster) in upwards.filter_map(|n| told.history.clusters.get(n).map(|c| (n, c))) {
            let share = traffic.mean.get(cluster).copied().unwrap_or(0.0);
            if share <= 0.0 {
                continue;
            }
            let class = format!("c{}{}", n.min(COLOURS), if apart(cluster) { " apart" } else { "" });
            blocks.push(Block {
                x: (x(told, from), x(told, to)),
                y: (ground, ground + share),
                class,
                title: title.clone(),
            });
            ground += share;
        }
    }
    blocks
}

/// The targets of a cluster, stacked: the healthy ones are at the bottom.
fn targets(told: &ReportInput, cluster: &str) -> Vec<Block> {
    let most = f64::from(max_targets(told, cluster).max(1));
    let points =
        drop_invisible(told, told.history.health.iter().filter_map(|h| Some((h.at, *h.targets.get(cluster)?))));
    let block = |(from, to, (healthy, all)): (Timestamp, Timestamp, (u32, u32))| {
        let title = format!("{} – {}: {healthy} of {all} targets of {cluster} healthy", told.time(from), told.time(to));
        let x = (x(told, from), x(told, to));
        let high = |n: u32| f64::from(n) / most * HEIGHT;
        let well = Block { x, y: (0.0, high(healthy)), class: "well".into(), title: title.clone() };
        let ill = Block { x, y: (high(healthy), high(all)), class: "ill".into(), title };
        [well, ill]
    };
    spans(told, &points).into_iter().flat_map(block).filter(|b| b.y.1 > b.y.0).collect()
}

/// The highest number of targets that a cluster's groups had.
fn max_targets(told: &ReportInput, cluster: &str) -> u32 {
    told.history.health.iter().filter_map(|h| h.targets.get(cluster)).map(|(_, all)| *all).max().unwrap_or(0)
}

/// Drops points that are too close to be visible.
fn drop_invisible<T>(told: &ReportInput, points: impl Iterator<Item = (Timestamp, T)>) -> Vec<(Timestamp, T)> {
    let mut kept: Vec<(Timestamp, T)> = Vec::new();
    for (at, point) in points {
        match kept.last_mut() {
            Some(last) if x(told, at) - x(told, last.0) < MIN_DISTANCE => last.1 = point,
            _ => kept.push((at, point)),
        }
    }
    kept
}

/// Each point with its time span: until the next point, or until the end.
fn spans<T: Clone>(told: &ReportInput, points: &[(Timestamp, T)]) -> Vec<(Timestamp, Timestamp, T)> {
    let ends = points.iter().skip(1).map(|(at, _)| *at).chain([told.history.time.1]);
    points.iter().zip(ends).map(|((from, point), to)| (*from, to, point.clone())).collect()
}

/// Marks for the start of steps, for problems and for operator actions.
fn marks(told: &ReportInput) -> Markup {
    let steps = told.history.steps.iter().filter_map(|s| Some((s.time.0?, s)));
    let moments = told
        .important_events()
        .into_iter()
        .filter(|(_, kind, _)| matches!(kind, EventKind::Trouble | EventKind::Person));
    html! {
        @for (at, step) in steps {
            span.step
                style=(left(told, at))
                title={ (told.time(at)) ": step " (step.number) ", " (step.label) }
            { (step.number) }
        }
        @for (at, kind, text) in moments {
            span class={ "mark " (kind.name()) } style=(left(told, at)) title={ (told.time(at)) ": " (text) } {}
        }
    }
}

/// Four times at equal distances.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // milliseconds of a run
fn times(told: &ReportInput) -> Markup {
    let at = |part: i64| {
        let (began, ended) = told.history.time;
        Timestamp::from_millisecond(
            began.as_millisecond() + (ended.as_millisecond() - began.as_millisecond()) * part / 3,
        )
        .unwrap_or(began)
    };
    html! { @for part in 0..=3 { span { (told.time(at(part))) } } }
}

fn left(told: &ReportInput, at: Timestamp) -> String {
    format!("left:{}%", round(x(told, at) / WIDTH * 100.0))
}

#[allow(clippy::cast_precision_loss)] // milliseconds of a run
fn x(told: &ReportInput, at: Timestamp) -> f64 {
    let (began, ended) = told.history.time;
    let length = (ended.as_millisecond() - began.as_millisecond()).max(1);
    (at.as_millisecond() - began.as_millisecond()) as f64 / length as f64 * WIDTH
}

/// Rounds to two digits.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
