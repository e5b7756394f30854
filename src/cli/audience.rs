//! Who follows a run from here: standard output as JSON, or a person at a terminal or in a log.

use jiff::Timestamp;

use super::args::{Global, Output};
use super::render::dashboard::{Dashboard, screen};
use super::render::events::Lines;
use super::render::style::Style;
use super::render::view::View;
use super::term;
use crate::domain::event::{Record, Wait};
use crate::domain::journal;
use crate::domain::state::State;
use crate::domain::watch::Watch;
use crate::engine::Audience;
use crate::plan::model::Plan;

/// An audience as `--output` and the terminal say.
pub fn audience<'a>(global: &Global, plan: &'a Plan) -> Box<dyn Audience + 'a> {
    match global.output {
        Output::Json => Box::new(Json),
        _ => Box::new(Person::new(global, plan)),
    }
}

/// One JSON object a line.
pub struct Json;

impl Audience for Json {
    fn record(&mut self, record: &Record) {
        let _ = term::print(&journal::to_json(record).to_string());
    }

    fn turn(&mut self, _: &State, _: &Watch, _: &[Wait], _: Timestamp) {}
}

/// A line for each event, and on a terminal the picture below.
struct Person<'a> {
    plan: &'a Plan,
    lines: Lines,
    style: Style,
    dashboard: Option<Dashboard>,
    drawn: Option<std::time::Instant>,
}

impl<'a> Person<'a> {
    fn new(global: &Global, plan: &'a Plan) -> Self {
        let dashboard = (term::stderr() && term::stdout()).then(|| Dashboard::new(term::bars().clone()));
        Self { plan, lines: Lines::new(term::style(global.color)), style: term::style_err(global.color), dashboard, drawn: None }
    }
}

impl Audience for Person<'_> {
    fn record(&mut self, record: &Record) {
        for line in self.lines.take(record) {
            let _ = term::print(&line);
        }
    }

    fn turn(&mut self, state: &State, watch: &Watch, waits: &[Wait], now: Timestamp) {
        let Some(dashboard) = &mut self.dashboard else { return };
        // A lab's clock may turn hundreds of times a second: nobody reads that fast.
        if self.drawn.is_some_and(|at| at.elapsed() < std::time::Duration::from_millis(100)) {
            return;
        }
        self.drawn = Some(std::time::Instant::now());
        dashboard.show(&screen(&View::of(self.plan, state, Some(watch), waits, now), term::width(), &self.style));
    }
}
