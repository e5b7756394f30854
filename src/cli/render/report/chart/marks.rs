//! The marks above a chart: the starts of steps, problems, operator actions and the faults of a scenario. Marks that
//! would overlap on a narrow page are joined; faults have a separate line.

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::{EventKind, ReportInput};
use super::span::{Span, WIDTH, round};

/// The minimum width of a chart, in pixels, on a page that is 500 pixels wide.
const NARROW: f64 = 420.0;
/// The width of a character of a label, and of the space next to a label, in pixels.
const CHARACTER: f64 = 7.0;
const SPACE: f64 = 8.0;
/// Pixels of a dot with its space.
const DOT: f64 = 12.0;

/// A mark at a position, with the width that its label needs.
struct Mark {
    x: f64,
    kind: EventKind,
    /// The first and the last step's number; 0 for a dot.
    steps: (usize, usize),
    title: String,
}

impl Mark {
    fn label(&self) -> String {
        match self.steps {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        }
    }

    /// Returns the width in the chart's units.
    fn width(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a few characters
        let pixels = if self.steps.0 == 0 { DOT } else { self.label().chars().count() as f64 * CHARACTER + SPACE };
        pixels / NARROW * WIDTH
    }

    /// Joins with one to the right of it.
    fn join(&mut self, next: Self) {
        self.steps.1 = next.steps.1;
        self.title = format!("{}\n{}", self.title, next.title);
        if next.kind == EventKind::Trouble {
            self.kind = EventKind::Trouble;
        }
    }
}

/// Returns the marks in a span.
pub(super) fn marks(input: &ReportInput, span: Span) -> Markup {
    let mark = |at: Timestamp, kind, number, title: String| Mark {
        x: span.x(at),
        kind,
        steps: (number, number),
        title: format!("{}: {title}", input.time(at)),
    };
    let steps = input.history.steps.iter().filter_map(|step| {
        let at = step.time.0.filter(|at| span.contains(*at))?;
        Some(mark(at, EventKind::Plain, step.number, format!("step {}, {}", step.number, step.label)))
    });
    let dots = |kinds: &'static [EventKind]| {
        let events = input.important_events().into_iter();
        let shown = events.filter(move |(at, kind, _)| kinds.contains(kind) && span.contains(*at));
        shown.map(|(at, kind, text)| mark(at, kind, 0, text))
    };
    html! {
        @for step in join_overlapping(steps) {
            span.step style=(left(step.x)) title=(step.title) { (step.label()) }
        }
        @for dot in join_overlapping(dots(&[EventKind::Trouble, EventKind::Person])) {
            span class={ "mark " (dot.kind.name()) } style=(left(dot.x)) title=(dot.title) {}
        }
        @for dot in join_overlapping(dots(&[EventKind::Fault])) {
            span class={ "mark " (dot.kind.name()) } style=(left(dot.x)) title=(dot.title) {}
        }
    }
}

/// Joins marks until no two marks overlap.
fn join_overlapping(marks: impl Iterator<Item = Mark>) -> Vec<Mark> {
    let mut kept: Vec<Mark> = Vec::new();
    for mut mark in marks {
        while let Some(mut last) = kept.pop_if(|last| mark.x - last.x < f64::midpoint(last.width(), mark.width())) {
            last.join(mark);
            mark = last;
        }
        kept.push(mark);
    }
    kept
}

fn left(x: f64) -> String {
    format!("left:{}%", round(x / WIDTH * 100.0))
}
