//! What the clients of a rehearsal saw: the lab measures it, and the journal does not have it.

use jiff::Timestamp;

use super::{EventKind, ReportInput};
use crate::base::number::percent;
use crate::domain::run::event::ClientMeasurement;

/// A row of the table: what clients saw of a step.
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
            step: format!("{}  {}", m.step, m.label),
            shares: m.clusters.iter().map(share).collect::<Vec<_>>().join(", "),
            requests: m.requests,
            errors: m.client_errors,
        };
        self.clients.iter().flat_map(|clients| &clients.steps).map(row).collect()
    }

    /// Returns the sum in one sentence; `None` for a real run.
    pub(super) fn clients_text(&self) -> Option<String> {
        let clients = self.clients.as_ref()?;
        let errors = match clients.errors {
            0 => "none failed".to_owned(),
            n => format!("{n} failed (no answer, or 5xx)"),
        };
        Some(format!("The rehearsal's clients sent {} requests; {errors}.", clients.requests))
    }

    /// Returns an event for each step whose clients saw errors.
    pub(super) fn client_errors(&self) -> Vec<(Timestamp, EventKind, String)> {
        let failed = self.clients.iter().flat_map(|c| &c.steps).filter(|(_, m)| m.client_errors > 0);
        let text = |m: &ClientMeasurement| {
            format!("clients saw {} of {} requests fail in step {}", m.client_errors, m.requests, m.step)
        };
        failed.map(|(at, m)| (*at, EventKind::Trouble, text(m))).collect()
    }
}
