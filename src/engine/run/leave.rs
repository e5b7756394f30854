//! Ends this process's part of a run: because the run is finished, because it must wait, or on request.

use super::Run;
use crate::domain::decide::stop;
use crate::domain::run::event::{Event, Outcome, Record, Stop};
use crate::domain::run::state::{Frozen, Phase};
use crate::domain::run::watch::Marker;
use crate::engine::{Ending, EngineError, untag};
use crate::port::store::LockError;

impl Run<'_> {
    /// Whether this process still owns the run. If not, requests belong to the new owner, and this process stops,
    /// whatever it does at the moment and whatever the last reading of the marker says.
    pub(super) fn owned(&mut self) -> bool {
        // A write that is sent now can take effect until its deadline.
        self.watch.lapsed = self.held.lapsed(self.settings.deadline);
        let Err(LockError::HeldBy(other)) = self.held.check() else { return true };
        self.watch.marker = Some(Marker::Other(format!("{} on {}, run {}", other.owner, other.host, other.run)));
        false
    }

    /// Stops driving a frozen run if the settings say so, instead of guarding it. A rollback is always completed.
    pub(super) async fn leaves(&mut self) -> Result<Option<Ending>, EngineError> {
        let may = self.settings.leave_when_frozen && self.state.phase != Phase::RollingBack;
        let Some(Frozen { reason, message, .. }) = self.state.frozen.clone().filter(|_| may) else { return Ok(None) };
        match stop(reason) {
            Stop::Waiting => Ok(None),
            stop => self.stopped(stop, message).await.map(Some),
        }
    }

    /// `^C` pauses the run, except in a process that stops by itself (`step`): there the next call continues.
    pub(super) async fn interrupted(&mut self, stop: Stop, message: String) -> Result<Ending, EngineError> {
        let stays = self.settings.orders.leave.is_none();
        if stays
            && stop == Stop::Interrupted
            && !matches!(self.state.phase, Phase::RollingBack | Phase::Detaching | Phase::Finished)
            && self.state.paused.is_none()
        {
            self.journal(Event::Paused {
                by: self.settings.owner.clone(),
                reason: "interrupted".into(),
                request: None,
            })
            .await?;
        }
        self.stopped(stop, message).await
    }

    pub(super) async fn leave(&mut self, stop: Stop, message: String) -> Result<Ending, EngineError> {
        if stop == Stop::Stuck {
            self.look().await;
        }
        self.stopped(stop, message).await
    }

    async fn stopped(&mut self, reason: Stop, message: String) -> Result<Ending, EngineError> {
        self.calling.stop().await;
        let stopped = Event::Stopped { reason, message: message.clone() };
        if self.unclaimed.is_some() && reason == Stop::Waiting {
            // Nothing has happened; the heartbeat says who observed last.
            let record = Record::new(0, self.ports.clock.now(), self.state.run.clone(), stopped);
            self.audience.record(&record);
        } else {
            self.journal(stopped).await?;
        }
        self.sign(self.ports.clock.now(), false, message.clone()).await;
        self.held.release().await;
        Ok(Ending::Stopped(reason, message))
    }

    pub(super) async fn finished(&mut self, outcome: Outcome) -> Ending {
        self.calling.stop().await;
        self.flights.marked().await;
        self.seen = None;
        let mut tags = Vec::new();
        if self.plan.marker == crate::plan::model::Marker::Tag {
            let started = &self.state.started;
            let routes: Vec<_> = started.routes.iter().map(|r| r.id.to_string()).collect();
            let owners: Vec<_> =
                [Some(&self.state.run), self.replaced.as_ref()].into_iter().flatten().map(String::as_str).collect();
            tags = untag::remove(
                &*self.ports.balancer.marks,
                &*self.ports.clock,
                &started.load_balancers,
                &routes,
                &owners,
            )
            .await;
        }
        self.sign(self.ports.clock.now(), false, "finished".into()).await;
        self.held.release().await;
        let (remarks, left) = std::mem::take(&mut self.said);
        Ending::Finished { outcome, remarks, left, tags }
    }
}
