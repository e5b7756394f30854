//! The command line as a [`Surface`]: JSON on standard output, or text for a terminal or a log.

use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::args::{Global, Output};
use super::live_dashboard::LiveDashboard;
use super::render::events::{self, EventLines};
use super::render::status;
use super::render::style::Style;
use super::signals::Signals;
use super::term;
use crate::adapter::telemetry::Outlets;
use crate::app::names::RecordText;
use crate::app::surface::Surface;
use crate::app::view::RunView;
use crate::domain::run::event::{Record, RunOutcome, Wait};
use crate::domain::run::journal;
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::engine::{Audience, Ending};
use crate::plan::model::Plan;

impl Surface for Global {
    fn audience<'a>(&self, plan: &'a Plan, earlier: &[Record]) -> Box<dyn Audience + 'a> {
        match self.output {
            Output::Json => Box::new(JsonLines),
            _ => Box::new(TextOutput::new(self, plan, true).after(earlier)),
        }
    }

    fn show(&self, message: &str) {
        term::print_error(message);
    }

    fn show_ending(&self, ending: &Ending) {
        // On a terminal the record was already shown as a line.
        if self.output == Output::Text && term::stdout() {
            return;
        }
        match ending {
            Ending::Finished { outcome, remarks, left, accepted, .. } => {
                let lacks = if *outcome == RunOutcome::Completed { "NOT as planned" } else { "NOT restored" };
                let left = left.iter().map(|route| format!("{lacks}: {route}"));
                for line in remarks.iter().chain(accepted).cloned().chain(left) {
                    term::print_error(&line);
                }
            }
            Ending::Stopped(_, message) => term::print_error(message),
        }
    }

    fn final_lines(&self, view: &RunView) -> Vec<String> {
        status::final_lines(view, &term::style_err(self.color))
    }

    fn record_text(&self) -> RecordText {
        |record, names| events::event_text(record, names, &Style::plain())
    }

    fn stop_requests(&self) -> BoxStream<'static, ()> {
        let Ok(signals) = Signals::listen() else { return stream::pending().boxed() };
        stream::unfold(signals, |mut signals| async {
            signals.next().await;
            Some(((), signals))
        })
        .boxed()
    }

    fn metric_outlets(&self) -> &Outlets {
        &self.outlets
    }
}

/// The audience for `--output` and the terminal. `reachable`: commands from other terminals reach the run, which is not
/// so for a rehearsal.
pub fn audience<'a>(global: &Global, plan: &'a Plan, reachable: bool) -> Box<dyn Audience + 'a> {
    match global.output {
        Output::Json => Box::new(JsonLines),
        _ => Box::new(TextOutput::new(global, plan, reachable)),
    }
}

/// Prints one JSON object a line.
struct JsonLines;

impl Audience for JsonLines {
    fn record(&mut self, record: &Record) {
        let _ = term::print(&journal::to_json(record).to_string());
    }

    fn turn(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// Prints a line for each event, with the dashboard below on a terminal.
struct TextOutput<'a> {
    plan: &'a Plan,
    lines: EventLines,
    picture: Option<LiveDashboard>,
    reachable: bool,
    /// The last update of the dashboard: its time and its waits. `None`: an event has happened since.
    last_update: Option<(Instant, Vec<Wait>)>,
}

impl<'a> TextOutput<'a> {
    fn new(global: &Global, plan: &'a Plan, reachable: bool) -> Self {
        let lines = EventLines::new(term::style(global.color));
        let lines = if reachable { lines.with_commands() } else { lines };
        let picture = term::can_show_dashboard().then(|| LiveDashboard::new(term::style_err(global.color)));
        Self { plan, lines, picture, reachable, last_update: None }
    }

    /// Knows the routes of these records, without showing anything.
    fn after(mut self, earlier: &[Record]) -> Self {
        self.lines.learn(earlier);
        self
    }
}

impl Audience for TextOutput<'_> {
    fn record(&mut self, record: &Record) {
        for line in self.lines.lines_for(record) {
            let _ = term::print(&line);
        }
        self.last_update = None;
    }

    fn turn(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        let Some(picture) = &self.picture else { return };
        // A lab's loop may turn hundreds of times a second, and each dashboard takes some work.
        if self
            .last_update
            .as_ref()
            .is_some_and(|(at, told)| at.elapsed() < Duration::from_millis(100) && told == waits)
        {
            return;
        }
        self.last_update = Some((Instant::now(), waits.to_vec()));
        picture.show(RunView { reachable: self.reachable, ..RunView::of(self.plan, state, Some(watch), waits, now) });
    }
}
