//! The command line as a [`Surface`]: prints JSON on standard output, or text for a terminal or a log.

use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use serde_json::Value;

use super::args::{Global, Output};
use super::live_dashboard::LiveDashboard;
use super::render::events::{self, EventLines};
use super::render::status;
use super::render::style::Style;
use super::render::wrap::wrap;
use super::signals::Signals;
use super::term;
use crate::adapter::telemetry::Outlets;
use crate::app::names::{RecordText, plan_argument};
use crate::app::surface::Surface;
use crate::app::view::RunView;
use crate::domain::run::event::{Record, RunOutcome, Wait};
use crate::domain::run::journal;
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::engine::{Ending, Subscriber};
use crate::plan::model::Plan;

impl Surface for Global {
    fn subscriber<'a>(&self, plan: &'a Plan, earlier: &[Record]) -> Box<dyn Subscriber + 'a> {
        match self.output {
            Output::Json => Box::new(JsonLines { plan: None }),
            _ => Box::new(TextOutput::new(self, plan, true).with_earlier_records(earlier)),
        }
    }

    fn show(&self, message: &str) {
        term::print_error(&wrap(message, term::style_err(self.color).width).join("\n"));
    }

    fn show_ending(&self, ending: &Ending) {
        // On a terminal, the last event was already shown as a line.
        if self.output == Output::Text && term::stdout() {
            return;
        }
        match ending {
            Ending::Finished { outcome, remarks, left, accepted, .. } => {
                let prefix = if *outcome == RunOutcome::Completed { "NOT as planned" } else { "NOT restored" };
                let left = left.iter().map(|route| format!("{prefix}: {route}"));
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

/// Returns the output for `--output` and the terminal. `reachable` says whether commands from other terminals reach the
/// run, which is not the case in a rehearsal.
pub fn subscriber<'a>(global: &Global, plan: &'a Plan, reachable: bool) -> Box<dyn Subscriber + 'a> {
    match global.output {
        Output::Json => Box::new(JsonLines { plan: (!reachable).then(|| plan_argument(plan)) }),
        _ => Box::new(TextOutput::new(global, plan, reachable)),
    }
}

/// Prints each journal event as one line of JSON.
struct JsonLines {
    /// The plan of a rehearsal, which its commands name in place of the run; `None` for a real run.
    plan: Option<String>,
}

impl Subscriber for JsonLines {
    fn record(&mut self, record: &Record) {
        let mut json = journal::to_json(record);
        if let Some(plan) = &self.plan {
            name_plan(&mut json, &record.run, plan);
        }
        let _ = term::print(&json.to_string());
    }

    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// Replaces the run by the plan in all texts with commands: no command reaches the run of a rehearsal.
fn name_plan(json: &mut Value, run: &str, plan: &str) {
    match json {
        Value::String(text) if text.contains("cutover ") => *text = text.replace(run, plan),
        Value::Array(items) => items.iter_mut().for_each(|item| name_plan(item, run, plan)),
        Value::Object(fields) => fields.values_mut().for_each(|field| name_plan(field, run, plan)),
        _ => {}
    }
}

/// Prints a line for each event, and on a terminal the dashboard below these lines.
struct TextOutput<'a> {
    plan: &'a Plan,
    lines: EventLines,
    dashboard: Option<LiveDashboard>,
    reachable: bool,
    /// Time and waits of the last update of the dashboard; `None` if an event has happened since.
    last_update: Option<(Instant, Vec<Wait>)>,
}

impl<'a> TextOutput<'a> {
    fn new(global: &Global, plan: &'a Plan, reachable: bool) -> Self {
        let lines = EventLines::new(term::style(global.color));
        let lines = if reachable { lines.with_commands() } else { lines.of_rehearsal(plan_argument(plan)) };
        let dashboard = term::can_show_dashboard().then(|| LiveDashboard::new(term::style_err(global.color)));
        Self { plan, lines, dashboard, reachable, last_update: None }
    }

    /// Reads the routes from these records, without showing anything.
    fn with_earlier_records(mut self, earlier: &[Record]) -> Self {
        self.lines.learn(earlier);
        self
    }
}

impl Subscriber for TextOutput<'_> {
    fn record(&mut self, record: &Record) {
        for line in self.lines.lines_for(record) {
            let _ = term::print(&line);
        }
        self.last_update = None;
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        for line in self.lines.pending_lines() {
            let _ = term::print(&line);
        }
        let Some(dashboard) = &self.dashboard else { return };
        // The loop of a lab may run hundreds of times per second, and each update of the dashboard takes some work.
        if self
            .last_update
            .as_ref()
            .is_some_and(|(at, last_waits)| at.elapsed() < Duration::from_millis(100) && last_waits == waits)
        {
            return;
        }
        self.last_update = Some((Instant::now(), waits.to_vec()));
        dashboard.show(RunView { reachable: self.reachable, ..RunView::of(self.plan, state, Some(watch), waits, now) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: the JSON of a rehearsal had commands with the run of the rehearsal, which no command reaches.
    #[test]
    fn commands_of_a_rehearsal_name_the_plan() {
        let mut json = serde_json::json!({
            "run": "alpha-1", "remarks": ["to end that now: cutover rollback alpha-1 --stickiness break"], "seq": 1,
        });
        name_plan(&mut json, "alpha-1", "plans/alpha.yaml");
        let remark = "to end that now: cutover rollback plans/alpha.yaml --stickiness break";
        assert_eq!(json, serde_json::json!({"run": "alpha-1", "remarks": [remark], "seq": 1}));
    }
}
