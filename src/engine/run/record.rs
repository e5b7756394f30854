//! The journal: what happened, what people ask for, and what is waited for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Run;
use crate::domain::run::event::{Event, Outcome, ResumeMode, Wait};
use crate::engine::{EngineError, hold, look, request};

impl Run<'_> {
    /// Says in the journal whose hands the run is in now. A call of a scheduler that goes on as if it were the one before says so only once it has
    /// anything else to say: days of waiting are no news.
    pub(in crate::engine) async fn claim(&mut self, event: Event, onward: bool) -> Result<(), EngineError> {
        if !onward || self.settings.orders.leave.is_none() {
            return self.journal(event).await;
        }
        let time = self.ports.clock.now();
        self.state.apply(time, &event)?;
        self.unclaimed = Some((time, event));
        Ok(())
    }

    /// Journals, folds, tells. Only what moves on must be on disk first; all else is kept until the disk takes it.
    pub(super) async fn journal(&mut self, event: Event) -> Result<(), EngineError> {
        if let Some((time, claimed)) = self.unclaimed.take() {
            let record = self.journal.keep(time, claimed).await;
            self.audience.record(&record);
        }
        let time = self.ports.clock.now();
        // Before it is on disk: a record that cannot be would make the whole journal senseless.
        self.state.check(&event)?;
        let moves_on = match &event {
            Event::HookStarted { hook, .. } => !hook.at.of_rollback(),
            Event::Intended { restore: false, .. }
            | Event::Claimed { .. }
            | Event::DetachStarted { .. }
            | Event::Finished { outcome: Outcome::Completed, .. } => true,
            Event::Started(_)
            | Event::StepStarted { .. }
            | Event::Bound { .. }
            | Event::Intended { .. }
            | Event::Outcome { .. }
            | Event::Settled { .. }
            | Event::StepDone { .. }
            | Event::Baked { .. }
            | Event::Approved { .. }
            | Event::TimedOut { .. }
            | Event::Promoted { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Frozen { .. }
            | Event::Thawed {}
            | Event::Drifted { .. }
            | Event::Appeared { .. }
            | Event::GateFailed { .. }
            | Event::Sampled { .. }
            | Event::Judged { .. }
            | Event::RollbackStarted { .. }
            | Event::RampStarted { .. }
            | Event::Ramped { .. }
            | Event::HookEnded { .. }
            | Event::Unbound { .. }
            | Event::Waiting { .. }
            | Event::Health { .. }
            | Event::Kept { .. }
            | Event::Notice { .. }
            | Event::Finished { .. }
            | Event::Stopped { .. }
            | Event::Unknown { .. }
            | Event::Measured(_)
            | Event::Notified { .. } => false,
        };
        let first = moves_on && !self.restores;
        let record = if first { self.journal.write(time, &event).await? } else { self.journal.keep(time, event).await };
        self.state.apply(record.time, &record.event)?;
        match &record.event {
            // What was refused before is tried again.
            Event::Resumed { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                // Routes may have joined.
                self.subject = look::Subject::of(self.plan, &self.state);
                self.watch.refused.clear();
                self.executor.forgive();
            }
            Event::Finished { remarks, left, .. } => self.said = (remarks.clone(), left.clone()),
            _ => {}
        }
        if matches!(record.event, Event::Resumed { mode: ResumeMode::IncludeNew, .. }) {
            self.break_glass().await;
        }
        if matches!(record.event, Event::DetachStarted { .. }) {
            hold::let_go(&*self.ports.store, &self.state.run).await;
        }
        self.audience.record(&record);
        Ok(())
    }

    /// Writes the break-glass script with the routes that have joined: first the journal says so, then the script does.
    pub(super) async fn break_glass(&self) {
        hold::break_glass(&*self.ports.store, &self.state.run, &self.state.started, self.state.since).await;
    }

    pub(super) async fn journal_all(&mut self, events: Vec<Event>) -> Result<(), EngineError> {
        for event in events {
            self.journal(event).await?;
        }
        Ok(())
    }

    /// Requests from other terminals. One that is not on disk as an event stays where it is, for whoever comes next.
    pub(super) async fn hear(&mut self) -> Result<(), EngineError> {
        for (name, request) in self.ports.store.requests(&self.state.run).await.unwrap_or_default() {
            // Heard before, by this process or by one that died before it could remove it.
            if !self.state.heard.contains(&name) {
                let event = request::event(self.plan, &self.state, &request, Some(&name));
                self.journal(event).await?;
            }
            if self.journal.whole()
                && let Err(error) = self.ports.store.drop_request(&self.state.run, &name).await
            {
                tracing::warn!("a request that was heard could not be removed: {error}");
            }
        }
        Ok(())
    }

    /// Journals the waits when their reasons change, and the health when its counts do.
    pub(super) async fn note(&mut self, waits: Vec<Wait>, now: Timestamp) -> Result<(), EngineError> {
        let changed = waits.len() != self.waits.len()
            || waits.iter().zip(&self.waits).any(|(a, b)| a.reason != b.reason || a.message != b.message);
        self.waits = waits;
        if changed && !self.waits.is_empty() {
            self.journal(Event::Waiting { waits: self.waits.clone() }).await?;
        }
        let counts: BTreeMap<_, _> =
            self.watch.samples.iter().filter_map(|(g, s)| Some((g.clone(), s.back()?.counts))).collect();
        if counts != self.counts {
            self.counts.clone_from(&counts);
            self.journal(Event::Health { groups: counts }).await?;
        }
        self.audience.turn(&self.state, &self.watch, &self.waits, now);
        Ok(())
    }
}
