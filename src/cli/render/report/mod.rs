//! Renders `cutover report`, for people who did not follow the run. This module has the parts that the page and the
//! Markdown for a ticket share. Pure: the only input is the journal of the run.

mod advice;
mod chart;
mod clients;
mod html;
mod markdown;
/// Returns the routes that an event says are about to be written.
fn written_routes(event: &Event) -> impl Iterator<Item = &RouteId> {
    let writes = if let Event::Intended { writes, .. } = event { writes.as_slice() } else { &[] };
    writes.iter().map(|write| &write.route)
}

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub use html::{html, html_of_runs};
pub use markdown::markdown;

use super::events::event_text;
use super::sections::{state_line, traffic};
use super::style::Style;
use crate::app::names::{Names, balancer, plan_argument};
use crate::app::view::{RunView, WayBackView};
use crate::base::duration::format_elapsed;
use crate::base::number::{count, percent};
use crate::domain::decide::way_back_by;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{ClientMeasurement, Event, Record, RunOutcome, Trigger, WaitReason};
use crate::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};
use crate::domain::run::hook::{HookPoint, HookResult};
use crate::domain::run::state::Drift;
use crate::domain::traffic::RouteId;
use crate::domain::view::history::{GateVerdicts, History, StepHistory};
use crate::plan::model::Plan;

/// A run and everything else that a report needs.
pub struct ReportInput<'a> {
    plan: &'a Plan,
    records: &'a [Record],
    history: &'a History,
    names: Names,
    view: RunView,
    style: Style,
    /// Only of a rehearsal.
    clients: Option<ClientResults>,
}

/// The results of the requests of a rehearsal's clients.
#[derive(Debug, Clone, Default)]
pub struct ClientResults {
    /// The measurement of each step, at its end.
    pub steps: Vec<(Timestamp, ClientMeasurement)>,
    /// All requests of the rehearsal.
    pub requests: u64,
    /// The number of failed requests: no response, or status 5xx.
    pub errors: u64,
    /// Sentences about the faults of the scenario that never happened.
    pub unhappened: Vec<String>,
    /// The faults of the scenario that began or ended, as sentences with their times.
    pub faults: Vec<(Timestamp, String)>,
    /// For each recorded time: the number of requests since the start of the run, and how many of them failed.
    pub totals: Vec<(Timestamp, u64, u64)>,
}

/// The kind of an event, which determines the mark of the event in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventKind {
    Good,
    Person,
    Trouble,
    /// A fault of a rehearsal's scenario.
    Fault,
    /// A problem over a longer time, which has no mark at a single time.
    Summary,
    Plain,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Person => "person",
            Self::Trouble | Self::Summary => "trouble",
            Self::Fault => "fault",
            Self::Plain => "plain",
        }
    }
}

impl<'a> ReportInput<'a> {
    /// Prepares a report. Times are in the time zone of `style`; the report has its own colors and marks.
    pub fn new(plan: &'a Plan, records: &'a [Record], history: &'a History, style: &Style) -> Self {
        let mut names = Names::of(&history.state.started);
        for record in records {
            names.update(&record.event);
        }
        let health = records.iter().rev().find_map(|record| match &record.event {
            Event::Health { groups } => Some(groups),
            _ => None,
        });
        let way_back = way_back_by(&history.state, |arn| Some(health?.get(arn)?.healthy));
        let way_back = way_back.into_iter().map(WayBackView::from).collect();
        let view = RunView { way_back, ..RunView::of(plan, &history.state, None, &[], history.time.1) };
        let style = Style { zone: style.zone.clone(), ..Style::plain() };
        Self { plan, records, history, names, view, style, clients: None }
    }

    /// Returns the plan's name, with the wave of the run.
    fn title(&self) -> String {
        let started = &self.history.state.started;
        started
            .wave
            .as_ref()
            .map_or_else(|| started.plan.clone(), |wave| format!("{}, wave {}", started.plan, wave.name))
    }

    /// Adds what the clients of a rehearsal saw, and what its faults did not do. No command reaches its run.
    #[must_use]
    pub fn with_clients(mut self, clients: Option<ClientResults>) -> Self {
        self.view.reachable = clients.is_none();
        if clients.is_some() {
            // A real run of the plan would offer the same commands.
            self.view.run = plan_argument(self.plan);
        }
        self.clients = clients;
        self
    }

    /// Returns the time zone, such as `in UTC`.
    fn zone(&self) -> String {
        self.history.time.0.to_zoned(self.style.zone.clone()).strftime("in %Z").to_string()
    }

    /// Returns the result of the run and the reason, in one or two sentences.
    fn verdict(&self) -> String {
        let state = &self.history.state;
        let at = self.history.rolled_back_at.and_then(|n| self.history.steps.iter().find(|s| s.number == n));
        let at = at.map(|s| format!(" at step {} ({})", s.number, s.label)).unwrap_or_default();
        let took = format_elapsed(self.history.length());
        let began = match (state.finished, &state.rollback) {
            (Some(RunOutcome::Completed), _) => {
                format!("All {} steps are done, after {took}.", self.history.steps.len())
            }
            (None, Some(back)) if back.automatic => {
                format!("Rolling back automatically{at}, after {took}: {}.", sentence(&back.cause))
            }
            (_, Some(back)) if back.automatic => {
                format!("Rolled back automatically{at}, after {took}: {}.", sentence(&back.cause))
            }
            (_, Some(back)) => format!("{} rolled back the run{at}, after {took}: {}.", back.by, sentence(&back.cause)),
            _ => format!(
                "At step {} of {} after {took}: {}.",
                self.view.step_of().0,
                self.view.step_of().1,
                self.state_text()
            ),
        };
        format!("{} {}{}", self.with_plan(&began), self.shares_text(), self.left_text())
    }

    fn state_text(&self) -> String {
        sentence(&state_line(&self.view, &self.style).1)
    }

    /// Returns the shares of the routes after the last record.
    fn shares_text(&self) -> String {
        let plain = Style { unicode: false, ..self.style.clone() };
        let share = |(cluster, share): &(String, f64)| format!("{cluster} {} %", percent(*share));
        let split = |split: &crate::app::view::RouteGroup| {
            let shares = split.shares.iter().map(share).collect::<Vec<_>>().join(", ");
            let routes = count(split.routes.len(), "route");
            if shares.is_empty() {
                format!("{routes} without traffic to the plan's groups")
            } else {
                format!("{routes} at {shares}{}", split.outside_text())
            }
        };
        let splits: Vec<_> = self.view.traffic.iter().map(split).collect();
        let open = traffic(&self.view, &plain).len() > splits.len();
        let open = if open { " (some with an unconfirmed write)" } else { "" };
        format!("Last read: {}{open}.", splits.join("; "))
    }

    /// Returns names and values for the head of the report.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let state = &self.history.state;
        let balancers: Vec<_> = state.started.load_balancers.iter().map(|arn| balancer(arn)).collect();
        let (from, to) = (&self.plan.strategy.from, &self.plan.strategy.to);
        let drivers = self.drivers();
        let taken_over = drivers.iter().any(|driver| *driver != state.started.owner);
        let mut facts = vec![
            ("run", state.run.clone()),
            ("plan", format!("{} ({from} → {to})", state.started.plan)),
            ("started by", state.started.owner.clone()),
        ];
        facts.extend(taken_over.then(|| ("driven by", drivers.join(", then "))));
        facts.extend([
            ("started", self.stamp(self.history.time.0)),
            (if state.finished.is_some() { "finished" } else { "last record" }, self.stamp(self.history.time.1)),
            ("duration", format_elapsed(self.history.length())),
            ("load balancer", balancers.join(", ")),
            ("routes", state.routes.len().to_string()),
            ("writes", self.history.writes.text()),
        ]);
        facts
    }

    /// Returns the users and machines of the processes that drove the run, in order.
    fn drivers(&self) -> Vec<&str> {
        let owners = self.records.iter().filter_map(|record| match &record.event {
            Event::ProcessStarted { owner, .. } => Some(owner.as_str()),
            _ => None,
        });
        let mut drivers: Vec<_> = owners.collect();
        drivers.dedup();
        drivers
    }

    /// Returns the important events in order. Steps and their writes are in a separate table.
    fn important_events(&self) -> Vec<(Timestamp, EventKind, String)> {
        let important_event = |record: &Record| {
            let kind = kind_of_important_event(&record.event)?;
            let text = event_text(record, &self.names, &self.style)?;
            // The run of a rehearsal cannot be reached: commands name the plan.
            let replaced = self.clients.is_some() && !matches!(record.event, Event::Started(_));
            let text = if replaced { text.replace(&record.run, &self.view.run) } else { text };
            Some((record.time, kind, text))
        };
        let mut events: Vec<_> = self.records.iter().filter_map(important_event).chain(self.client_errors()).collect();
        events.sort_by_key(|(at, ..)| *at);
        events
    }

    /// Returns the changes of routes from the start of the run to its last record, each with the routes that have this
    /// change.
    fn changes(&self) -> Vec<(String, Vec<String>)> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let written: BTreeSet<_> = self.records.iter().flat_map(|record| written_routes(&record.event)).collect();
        for route in self.history.state.routes.values() {
            let before = route.start.content_at_start.as_ref().unwrap_or(&route.start.content);
            let change = match &route.drift {
                Some(Drift::Gone) => Some("the rule was deleted".to_owned()),
                Some(Drift::Changed(live)) => self.names.change(&route.start.id, before, live),
                None => self.names.change(&route.start.id, before, &route.confirmed),
            };
            let unchanged = || {
                if written.contains(&route.start.id) { "moved during the run, now as before it" } else { "not written" }
                    .to_owned()
            };
            let change = change.unwrap_or_else(unchanged);
            all.entry(change).or_default().push(self.names.route(&route.start.id));
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(_, routes)| std::cmp::Reverse(routes.len()));
        all
    }

    /// Formats a date and time, such as `2026-03-01 14:02:11 CET`.
    fn stamp(&self, at: Timestamp) -> String {
        at.to_zoned(self.style.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// Formats a time of day, with the date if the run has more than one day.
    fn time(&self, at: Timestamp) -> String {
        let local = |at: Timestamp| at.to_zoned(self.style.zone.clone());
        let days = local(self.history.time.0).date() != local(self.history.time.1).date();
        local(at).strftime(if days { "%m-%d %H:%M:%S" } else { "%H:%M:%S" }).to_string()
    }

    /// Returns the result of a step, and the kind of this result.
    fn result(&self, step: &StepHistory) -> (&'static str, EventKind) {
        match step.time {
            (_, Some(_)) => ("done", EventKind::Good),
            (Some(_), None) if self.history.rolled_back_at == Some(step.number) => {
                ("rolled back here", EventKind::Trouble)
            }
            (Some(_), None) => ("started", EventKind::Plain),
            (None, None) if step.number < self.history.state.started.from_step => ("before this run", EventKind::Plain),
            (None, None) => ("not started", EventKind::Plain),
        }
    }

    /// Returns the waits of a step, without settle and bake, and the operator actions during the step.
    fn notes(&self, step: &StepHistory) -> Vec<String> {
        let is_shown = |reason: &WaitReason| !matches!(reason, WaitReason::Settle | WaitReason::Bake);
        let waited = step.waits.iter().filter(|(reason, _, time)| is_shown(reason) && *time > SignedDuration::ZERO);
        waited
            .map(|(_, message, time)| format!("{} ({})", self.with_plan(message), format_elapsed(*time)))
            .chain(step.operator_actions.iter().cloned())
            .collect()
    }

    /// Returns the metric gates: for each the name, a text with the number of measurements and failures and the last
    /// verdict, and the kind of this verdict.
    fn gates(&self) -> Vec<(String, String, EventKind)> {
        let gate_line = |(name, gate): (&String, &GateVerdicts)| {
            let dry_run_note = if gate.dry_run { ", dry run" } else { "" };
            let fails = gate.verdicts.iter().filter(|(_, call, _)| *call == GateResult::Fail).count();
            let failed = if fails > 0 { format!(", failed {}", count(fails, "time")) } else { String::new() };
            let (kind, last) = match gate.last.as_ref().or(gate.verdicts.last()) {
                Some((at, call, why)) => (kind(*call), format!(". Last, at {}: {why}", self.time(*at))),
                None => (EventKind::Plain, String::new()),
            };
            let number = match gate.measurements {
                // A comparison of both clusters measures nothing.
                0 => count(gate.verdicts.len(), "verdict"),
                number => count(number, "measurement"),
            };
            (name.clone(), format!("{number}{failed}{dry_run_note}{last}"), kind)
        };
        self.history.gates.iter().map(gate_line).collect()
    }

    /// Returns the start of a step and its duration, as text.
    fn start_and_duration(&self, step: &StepHistory) -> (String, String) {
        let began = step.time.0.map_or_else(String::new, |at| self.time(at));
        let end =
            |began: Timestamp| step.time.1.map_or_else(String::new, |end| format_elapsed(end.duration_since(began)));
        (began, step.time.0.map_or_else(String::new, end))
    }
}

fn kind(call: GateResult) -> EventKind {
    match call {
        GateResult::Pass => EventKind::Good,
        GateResult::Hold => EventKind::Plain,
        GateResult::Fail => EventKind::Trouble,
    }
}

/// Returns a message as part of a sentence, without its full stop.
fn sentence(text: &str) -> String {
    text.trim_end_matches(['.', '\n']).replace('\n', "; ")
}

/// Returns the kind of an important event; `None` for other events.
fn kind_of_important_event(event: &Event) -> Option<EventKind> {
    Some(match event {
        Event::Finished { unresolved: left, outcome: RunOutcome::Completed, .. } if left.is_empty() => EventKind::Good,
        Event::Finished { unresolved: left, .. } if left.is_empty() => EventKind::Plain,
        Event::HookEnded { result: HookResult::Succeeded, hook, .. }
            if !matches!(hook.at, HookPoint::Command | HookPoint::Undo) =>
        {
            return None;
        }
        Event::Started(_)
        | Event::Unfrozen {}
        | Event::Notice { .. }
        | Event::Ramped { early: None, .. }
        | Event::HookEnded { result: HookResult::Succeeded, .. }
        | Event::BindingRemoved { deleted: true, .. } => EventKind::Plain,
        Event::Approved { .. }
        | Event::Promoted { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::LeftOut { .. }
        | Event::RollbackStarted { trigger: Trigger::Operator, .. }
        | Event::RampStarted { .. }
        | Event::RetireStarted { .. } => EventKind::Person,
        Event::Compared(verdict) if verdict.allows_raises() => EventKind::Good,
        Event::Baked { gap, .. } if *gap == 0 => return None,
        Event::Baked { .. }
        | Event::Frozen { .. }
        | Event::Drifted { .. }
        | Event::ConditionsChanged { .. }
        | Event::RuleCreated { .. }
        | Event::GateFailed { .. }
        // A dry-run gate has no other event; the consequences of other verdicts have their own events.
        | Event::VerdictChanged { verdict: GateResult::Fail, dry_run: true, .. }
        | Event::Compared(_)
        | Event::TimedOut { .. }
        | Event::HeaderRules(
            HeaderRuleEvent::Planned { refused: Some(_), .. }
            | HeaderRuleEvent::Ended { result: HeaderRuleEnd::Refused | HeaderRuleEnd::Kept, .. },
        )
        | Event::HookEnded { .. }
        | Event::BindingRemoved { .. }
        | Event::RollbackStarted { .. }
        | Event::Ramped { .. }
        | Event::Stopped { .. }
        | Event::Finished { .. } => EventKind::Trouble,
        Event::ProcessStarted { .. }
        | Event::StepStarted { .. }
        | Event::BindingDone { .. }
        | Event::Intended { .. }
        | Event::Outcome { .. }
        | Event::Settled { .. }
        | Event::StepDone { .. }
        | Event::GateMeasured { .. }
        | Event::VerdictChanged { .. }
        | Event::HookStarted { .. }
        | Event::HeaderRules(_)
        | Event::ItemIntended(_)
        | Event::ItemOutcome(_)
        | Event::ItemDrained(_)
        | Event::Waiting { .. }
        | Event::Health { .. }
        | Event::WeightsTagged { .. }
        | Event::Unknown { .. }
        | Event::ClientsMeasured(_)
        | Event::Notified { .. } => return None,
    })
}
