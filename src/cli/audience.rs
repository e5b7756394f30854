//! The command line as a [`Surface`]: JSON on standard output, or text for a terminal or a log.

use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::args::{Global, Output};
use super::picture::Picture;
use super::render::events::{self, Lines};
use super::render::status;
use super::render::style::Style;
use super::signals::Signals;
use super::term;
use crate::adapter::telemetry::Outlets;
use crate::app::names::Words;
use crate::app::surface::Surface;
use crate::app::view::View;
use crate::domain::run::event::{Record, Wait};
use crate::domain::run::journal;
use crate::domain::run::state::State;
use crate::domain::run::watch::Watch;
use crate::engine::{Audience, Ending};
use crate::plan::model::Plan;

impl Surface for Global {
    fn audience<'a>(&self, plan: &'a Plan) -> Box<dyn Audience + 'a> {
        audience(self, plan, true)
    }

    fn say(&self, message: &str) {
        term::complain(message);
    }

    fn ended(&self, ending: &Ending) {
        // On a terminal the record was already shown as a line.
        if self.output == Output::Text && term::stdout() {
            return;
        }
        match ending {
            Ending::Finished { remarks, left, .. } => {
                let left = left.iter().map(|route| format!("NOT restored: {route}"));
                for line in remarks.iter().cloned().chain(left) {
                    term::complain(&line);
                }
            }
            Ending::Stopped(_, message) => term::complain(message),
        }
    }

    fn left(&self, view: &View) -> Vec<String> {
        status::left(view, &term::style_err(self.color))
    }

    fn words(&self) -> Words {
        |record, names| events::words(record, names, &Style::plain())
    }

    fn stops(&self) -> BoxStream<'static, ()> {
        let Ok(signals) = Signals::listen() else { return stream::pending().boxed() };
        stream::unfold(signals, |mut signals| async {
            signals.next().await;
            Some(((), signals))
        })
        .boxed()
    }

    fn outlets(&self) -> &Outlets {
        &self.outlets
    }
}

/// The audience for `--output` and the terminal. `reachable`: commands from other terminals reach the run, which is not
/// so for a rehearsal.
pub fn audience<'a>(global: &Global, plan: &'a Plan, reachable: bool) -> Box<dyn Audience + 'a> {
    match global.output {
        Output::Json => Box::new(Json),
        _ => Box::new(Person::new(global, plan, reachable)),
    }
}

/// Prints one JSON object a line.
struct Json;

impl Audience for Json {
    fn record(&mut self, record: &Record) {
        let _ = term::print(&journal::to_json(record).to_string());
    }

    fn turn(&mut self, _: &State, _: &Watch, _: &[Wait], _: Timestamp) {}
}

/// Prints a line for each event, with the dashboard below on a terminal.
struct Person<'a> {
    plan: &'a Plan,
    lines: Lines,
    picture: Option<Picture>,
    reachable: bool,
    /// The last update of the dashboard: its time and its waits. `None`: an event has happened since.
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
        // A lab's loop may turn hundreds of times a second, and each dashboard takes some work.
        if self.told.as_ref().is_some_and(|(at, told)| at.elapsed() < Duration::from_millis(100) && told == waits) {
            return;
        }
        self.told = Some((Instant::now(), waits.to_vec()));
        picture.show(View { reachable: self.reachable, ..View::of(self.plan, state, Some(watch), waits, now) });
    }
}
