//! Renders the results of the requests of a rehearsal's clients. The lab measures these results; the journal does not
//! contain them.

use jiff::Timestamp;

use super::{ClientResults, EventKind, ReportInput};
use crate::base::number::{count, percent};
use crate::domain::run::event::{ClientMeasurement, RunOutcome};
use crate::plan::model::Plan;

/// A row of the table: the results of the clients' requests during a step.
pub(super) struct ClientRow {
    pub step: String,
    pub shares: String,
    pub requests: u64,
    pub errors: u64,
}

impl ReportInput<'_> {
    /// Returns the measurements of the steps.
    pub(super) fn client_rows(&self) -> Vec<ClientRow> {
        let share = |(cluster, c): (&String, &crate::domain::run::event::ClusterMeasurement)| {
            format!("{cluster} {} % (plan {})", percent(c.measured), percent(c.planned))
        };
        let row = |(_, m): &(Timestamp, ClientMeasurement)| ClientRow {
            step: if m.during.is_step() { format!("{}  {}", m.step, m.label) } else { m.during.text(m.step) },
            shares: m.clusters.iter().map(share).collect::<Vec<_>>().join(", "),
            requests: m.requests,
            errors: m.client_errors,
        };
        let Some(clients) = &self.clients else { return Vec::new() };
        clients.steps.iter().map(row).chain([clients.rest()]).collect()
    }

    /// Returns the sum in one sentence; `None` for a real run.
    pub(super) fn clients_text(&self) -> Option<String> {
        let clients = self.clients.as_ref()?;
        let errors = match clients.errors {
            0 => "none failed".to_owned(),
            n => format!("{n} failed (no answer, or 5xx)"),
        };
        let unseen = self.unseen_failures().map_or_else(String::new, |text| format!(" Completed, but {text}."));
        Some(format!("The rehearsal's clients sent {} requests; {errors}.{unseen}", clients.requests))
    }

    /// Says that a completed rehearsal had failed requests; `None` for other endings and for real runs.
    pub(super) fn unseen_failures(&self) -> Option<String> {
        let completed = self.history.state.finished == Some(RunOutcome::Completed);
        self.clients.as_ref().filter(|_| completed)?.unseen_failures(self.plan)
    }

    /// Returns an event for each step whose clients saw errors, for each fault that began or ended, and for each fault
    /// that never happened.
    pub(super) fn client_errors(&self) -> Vec<(Timestamp, EventKind, String)> {
        let failed = self.clients.iter().flat_map(|c| &c.steps).filter(|(_, m)| m.client_errors > 0);
        let text = |m: &ClientMeasurement| {
            // The errors during the writes and the settle of a step count for the step, but not the requests.
            let during = if m.during.is_step() {
                format!("in step {}, its writes and settle included", m.step)
            } else {
                m.during.text(m.step)
            };
            format!(
                "clients saw {} fail {during}",
                count(usize::try_from(m.client_errors).unwrap_or(usize::MAX), "request")
            )
        };
        let unhappened = self.clients.iter().flat_map(|c| &c.unhappened);
        let unhappened = unhappened.map(|text| (self.history.time.1, EventKind::Summary, text.clone()));
        let faults = self.clients.iter().flat_map(|c| &c.faults);
        let faults = faults.map(|(at, text)| (*at, EventKind::Fault, text.clone()));
        failed.map(|(at, m)| (*at, EventKind::Summary, text(m))).chain(faults).chain(unhappened).collect()
    }
}

impl ClientResults {
    /// Says that a completed rehearsal had failed requests, which stopped nothing; `None` without failed requests.
    pub fn unseen_failures(&self, plan: &Plan) -> Option<String> {
        let why =
            if plan.strategy.metrics.is_empty() { "the plan has no metric gate" } else { "no gate stopped the run" };
        let (errors, requests) = (self.errors, self.requests);
        (errors > 0).then(|| format!("{errors} of {requests} requests failed, and {why}; see `cutover help gates`"))
    }

    /// Returns the row of all other times, so that the rows add up to all requests.
    fn rest(&self) -> ClientRow {
        let sum = |of: fn(&ClientMeasurement) -> u64| self.steps.iter().map(|(_, m)| of(m)).sum::<u64>();
        ClientRow {
            step: "other times: start, writes, settle (errors of writes and settle: in the row of their step)".into(),
            shares: String::new(),
            requests: self.requests.saturating_sub(sum(|m| m.requests)),
            errors: self.errors.saturating_sub(sum(|m| m.client_errors)),
        }
    }
}
