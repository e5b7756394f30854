//! Ends this process's part of a run: because the run is finished, because the run must wait, or on request.

use jiff::SignedDuration;

use super::RunLoop;
use crate::domain::decide::stop_reason;
use crate::domain::run::event::{Event, FreezeReason, Record, RunOutcome, StopReason};
use crate::domain::run::observation::Marker;
use crate::domain::run::state::{Frozen, Phase};
use crate::engine::{Ending, EngineError, untag};
use crate::port::store::LockError;

/// The time for which a marker that AWS accepted is not read again before its removal. A read would take as long.
const JUST_MARKED: SignedDuration = SignedDuration::from_secs(1);

impl RunLoop<'_> {
    /// Returns whether this process still owns the run. If another process owns the run, requests belong to that
    /// process. This process then stops in any case, also if the last reading of the marker names this run.
    pub(super) fn check_ownership(&mut self) -> bool {
        // A write that is sent now can take effect until its deadline.
        self.watch.lock_warning = self.locks.expiry(self.settings.deadline);
        let Err(LockError::HeldBy(other)) = self.locks.check() else { return true };
        let who = format!("{} on {}", other.owner, other.host);
        let what =
            if other.run == self.state.run { "which drives this run now" } else { &format!("run {}", other.run) };
        self.watch.marker = Some(Marker::Other(format!("{who}, {what}")));
        false
    }

    /// Whether another process drives this run. Its journal and its heartbeat then belong to that process.
    fn is_taken_over(&self) -> bool {
        matches!(self.locks.check(), Err(LockError::HeldBy(other)) if other.run == self.state.run)
    }

    /// Stops driving a frozen run if the settings say so, instead of guarding it. A rollback is always completed.
    pub(super) async fn stop_if_frozen(&mut self) -> Result<Option<Ending>, EngineError> {
        let may = self.settings.exit_when_frozen && self.state.phase != Phase::RollingBack;
        let Some(Frozen { reason, message, .. }) = self.state.frozen.clone().filter(|_| may) else { return Ok(None) };
        match stop_reason(reason) {
            // A gate that timed out waits for a person, so a process without a terminal exits. Other reasons for a
            // freeze may go away without a person.
            StopReason::Waiting if reason != FreezeReason::GateTimeout => Ok(None),
            stop => self.end_process(stop, message).await.map(Some),
        }
    }

    /// Stops on request, such as `^C`. This pauses the run, except in `cutover step`, where the next call continues the
    /// run.
    pub(super) async fn stop_on_request(&mut self, stop: StopReason, message: String) -> Result<Ending, EngineError> {
        let stays = self.settings.orders.exit_after.is_none();
        if stays
            && stop == StopReason::Interrupted
            && !matches!(self.state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished)
            && self.state.paused.is_none()
        {
            self.journal(Event::Paused {
                by: self.settings.owner.clone(),
                reason: "interrupted".into(),
                request: None,
            })
            .await?;
        }
        self.end_process(stop, message).await
    }

    pub(super) async fn stop(&mut self, stop: StopReason, message: String) -> Result<Ending, EngineError> {
        if stop == StopReason::Stuck {
            self.observe().await;
        }
        self.end_process(stop, message).await
    }

    async fn end_process(&mut self, reason: StopReason, message: String) -> Result<Ending, EngineError> {
        self.hook_tasks.stop().await;
        let stopped = Event::Stopped { reason, message: message.clone() };
        let taken_over = self.is_taken_over();
        if taken_over || (self.pending_claim.is_some() && reason == StopReason::Waiting) {
            // The record is not journalled, because nothing happened. The heartbeat shows who observed last.
            let record = Record::new(0, self.ports.clock.now(), self.state.run.clone(), stopped);
            self.subscriber.record(&record);
        } else {
            self.journal(stopped).await?;
        }
        if !taken_over {
            self.write_heartbeat(self.ports.clock.now(), false, message.clone()).await;
        }
        self.locks.release().await;
        Ok(Ending::Stopped(reason, message))
    }

    pub(super) async fn end_run(&mut self, outcome: RunOutcome) -> Ending {
        self.hook_tasks.stop().await;
        let marked_at = self.in_flight.wait_for_marker().await;
        self.seen_intact_at = None;
        let mut tags = Vec::new();
        if self.plan.marker == crate::plan::model::MarkerMode::Tag {
            let started = &self.state.started;
            let routes: Vec<_> = started.routes.iter().map(|r| r.id.to_string()).collect();
            let owners: Vec<_> =
                [Some(&self.state.run), self.replaced_run.as_ref()].into_iter().flatten().map(String::as_str).collect();
            let (tag_store, clock) = (&*self.ports.balancer.tags, &*self.ports.clock);
            let just_marked = marked_at.is_some_and(|at| clock.now().duration_since(at) < JUST_MARKED);
            tags = if started.keeps_weights {
                untag::remove_markers(tag_store, clock, &started.load_balancers, &owners, just_marked).await
            } else {
                untag::remove(tag_store, clock, &started.load_balancers, &routes, &owners, just_marked).await
            };
        }
        self.write_heartbeat(self.ports.clock.now(), false, "finished".into()).await;
        self.locks.release().await;
        let (remarks, left, accepted) = std::mem::take(&mut self.final_report);
        Ending::Finished { outcome, remarks, left, accepted, tags }
    }
}
