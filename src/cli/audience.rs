//! Who follows a run from here: standard output as JSON, or a person at a terminal or in a log.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::args::{Global, Output};
use super::picture::Picture;
use super::render::events::Lines;
use super::render::view::View;
use super::term;
use crate::domain::run::event::{Record, Wait};
use crate::domain::run::journal;
use crate::domain::run::state::State;
use crate::domain::run::watch::Watch;
use crate::engine::Audience;
use crate::plan::model::Plan;

/// An audience as `--output` and the terminal say.
pub fn audience<'a>(global: &Global, plan: &'a Plan) -> Box<dyn Audience + 'a> {
    match global.output {
        Output::Json => Box::new(Json),
        _ => Box::new(Person::new(global, plan, true)),
    }
}

/// The same for a rehearsal, which no verb reaches.
pub fn rehearsal<'a>(global: &Global, plan: &'a Plan) -> Box<dyn Audience + 'a> {
    match global.output {
        Output::Json => Box::new(Json),
        _ => Box::new(Person::new(global, plan, false)),
    }
}

/// Several who follow.
pub struct Company<'a>(pub Vec<&'a mut dyn Audience>);

impl Audience for Company<'_> {
    fn record(&mut self, record: &Record) {
        self.0.iter_mut().for_each(|one| one.record(record));
    }

    fn turn(&mut self, state: &State, watch: &Watch, waits: &[Wait], now: Timestamp) {
        self.0.iter_mut().for_each(|one| one.turn(state, watch, waits, now));
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
    picture: Option<Picture>,
    reachable: bool,
    /// What was told last: when, and the waits. `None`: something has happened since.
    told: Option<(Instant, Vec<Wait>)>,
}

impl<'a> Person<'a> {
    fn new(global: &Global, plan: &'a Plan, reachable: bool) -> Self {
        let lines = Lines::new(term::style(global.color));
        let lines = if reachable { lines.with_commands() } else { lines };
        let picture = term::pictures().then(|| Picture::new(term::style_err(global.color)));
        Self { plan, lines, picture, reachable, told: None }
    }
}

impl Audience for Person<'_> {
    fn record(&mut self, record: &Record) {
        for line in self.lines.take(record) {
            let _ = term::print(&line);
        }
        self.told = None;
    }

    fn turn(&mut self, state: &State, watch: &Watch, waits: &[Wait], now: Timestamp) {
        let Some(picture) = &self.picture else { return };
        // A lab's clock may turn hundreds of times a second, and each picture is some work.
        if self.told.as_ref().is_some_and(|(at, told)| at.elapsed() < Duration::from_millis(100) && told == waits) {
            return;
        }
        self.told = Some((Instant::now(), waits.to_vec()));
        picture.show(View { reachable: self.reachable, ..View::of(self.plan, state, Some(watch), waits, now) });
    }
}
