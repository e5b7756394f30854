//! Sends restoring writes as soon as the rate allows, and processes their answers as they arrive.

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

/// The longest sleep of a turn in which nothing can be sent and nothing is under way.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

impl RunLoop<'_> {
    /// Does one turn of a rollback: sends the writes that are possible now, and processes the answers.
    pub(super) async fn restore(&mut self, batch: Batch) -> Result<(), EngineError> {
        if !self.check_ownership() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let (state, watch, seen) = (&self.state, &self.watch, self.seen_intact_at);
        let ready = self
            .flights
            .ready(&self.executor, &batch.writes, now, |w| prepare_blind_write(state, watch, seen, w, now).is_some());
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
            self.flights.launch(&self.ports, &self.settings, prepared);
        }
        let more = self.flights.again(&self.executor, &batch.writes, now);
        if let Some(until) = more.filter(|_| self.flights.idle()) {
            let wait = self.write_wait(&batch);
            self.journal_waits(vec![wait], now).await?;
            self.ports.clock.sleep(until.duration_since(now).unsigned_abs().min(IDLE_SLEEP)).await;
            return Ok(());
        }
        self.process_answers(more).await
    }

    async fn process_answers(&mut self, more: Option<Timestamp>) -> Result<(), EngineError> {
        let turn = self.flights.land(&mut self.executor, &self.ports, &self.state, more).await;
        for event in turn.events {
            self.remember_refusal(&event);
            self.journal(event).await?;
        }
        match turn.marked {
            Some(Ok(())) => self.watch_list.marker_put(),
            Some(Err(MarkerError::Other(other))) => self.watch.marker = Some(Marker::Other(other)),
            Some(Err(error)) => tracing::warn!("{error}; the rollback continues"),
            None => {}
        }
        Ok(())
    }

    /// The time after which a write that is sent now, and gets no answer, cannot take effect any more.
    pub(super) fn deadline(&self) -> Timestamp {
        later(self.ports.clock.now(), self.ports.clock.of_real(self.settings.deadline))
    }

    /// Whether the last observation found every route as the journal says, and our marker. Routes with a write under
    /// way or with drift are left out.
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
