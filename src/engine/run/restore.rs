//! Sends restoring writes as soon as the rate allows, and processes the responses as they arrive.

use std::time::Duration;

use jiff::Timestamp;

use super::RunLoop;
use crate::base::time::later;
use crate::domain::decide::Batch;
use crate::domain::run::event::Event;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::Route;
use crate::engine::EngineError;
use crate::engine::marker::MarkerError;
use crate::engine::write::restore::prepare_blind_write;

/// The longest sleep in one loop iteration when no write can be sent and none is in progress.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

impl RunLoop<'_> {
    /// Runs one loop iteration of a rollback: sends the writes that are possible now, and processes the responses.
    pub(super) async fn restore(&mut self, batch: Batch) -> Result<(), EngineError> {
        if !self.check_ownership() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let (state, watch, seen) = (&self.state, &self.watch, self.seen_intact_at);
        let ready = self.in_flight.ready_writes(&self.executor, &batch.writes, now, |w| {
            prepare_blind_write(state, watch, seen, w, now).is_some()
        });
        let known: Vec<_> = ready.iter().filter_map(|w| prepare_blind_write(state, watch, seen, w, now)).collect();
        let prepared = if known.is_empty() && !ready.is_empty() {
            let (events, prepared) = self.executor.prepare(&self.ports, ready, &self.state, &mut self.watch).await;
            self.journal_all(events).await?;
            prepared
        } else {
            known
        };
        if !prepared.is_empty() {
            let writes = prepared.iter().map(|p| p.write.clone()).collect();
            self.journal(Event::Intended { restore: true, deadline: self.deadline(), writes }).await?;
            self.in_flight.launch(&self.ports, &self.settings, prepared);
        } else if self.in_flight.has_every_answer() {
            // The weights go first. While none can be sent, requests with headers go back, too.
            self.start_removals(&batch.header_rules);
        }
        let more = self.in_flight.next_send_at(&self.executor, &batch.writes, now);
        if let Some(until) = more.filter(|_| self.in_flight.is_idle()) {
            let wait = self.write_wait(&batch);
            self.journal_waits(vec![wait], now).await?;
            self.ports.clock.sleep(until.duration_since(now).unsigned_abs().min(IDLE_SLEEP)).await;
            return Ok(());
        }
        self.process_responses(more).await
    }

    pub(super) async fn process_responses(&mut self, more: Option<Timestamp>) -> Result<(), EngineError> {
        let turn = self.in_flight.collect_responses(&mut self.executor, &self.ports, &self.state, more).await;
        for event in turn.events {
            self.remember_refusal(&event);
            self.journal(event).await?;
        }
        match turn.marked {
            Some(Ok(())) => self.watch_list.marker_put(),
            Some(Err(MarkerError::Other(other))) => self.watch.marker = Some(Marker::Other(other)),
            Some(Err(error)) => {
                tracing::warn!("{error}; this does not affect the traffic: the rollback continues without the marker");
            }
            None => {}
        }
        Ok(())
    }

    /// Returns the time after which a write that is sent now, and gets no response, can no longer take effect.
    pub(super) fn deadline(&self) -> Timestamp {
        later(self.ports.clock.now(), self.ports.clock.of_real(self.settings.deadline))
    }

    /// Returns whether the last observation found every route as journalled, and this run's marker. Ignores routes with
    /// drift or with a write in progress.
    pub(super) fn matches_journal(&self) -> bool {
        let same = |route: &Route| {
            let live = self.watch.routes.get(&route.start.id).and_then(|r| r.value.as_ref().ok());
            route.open_writes.is_some()
                || route.drift.is_some()
                || live.is_some_and(|live| live.equivalent(&route.confirmed))
        };
        !matches!(self.watch.marker, Some(Marker::Missing | Marker::Other(_)))
            && self.watch.marker_error.is_none()
            && self.state.routes.values().all(same)
    }
}
