//! Journals events, operator requests and wait reasons.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::RunLoop;
use super::hints::Hints;
use crate::domain::decide::{self, Context, no_target_text, refuses_rollback};
use crate::domain::run::event::{Event, RequestKind, ResumeMode, RunOutcome, Wait};
use crate::domain::run::header_rule::HeaderRuleEvent;
use crate::domain::run::state::Phase;
use crate::domain::traffic::RouteId;
use crate::engine::{EngineError, observation, ownership, request};
use crate::port::store::Request;

impl RunLoop<'_> {
    /// Journals that this process drives the run now. For a call of `cutover step` that continues the previous call,
    /// this is journalled only together with another event, so that days of waiting do not fill the journal.
    pub(in crate::engine) async fn claim(&mut self, event: Event, onward: bool) -> Result<(), EngineError> {
        if !onward || self.settings.orders.exit_after.is_none() {
            return self.journal(event).await;
        }
        let time = self.ports.clock.now();
        self.state.apply(time, &event)?;
        self.pending_claim = Some((time, event));
        Ok(())
    }

    /// Journals an event, applies it to the state, and notifies the subscribers. An event that moves the run forward is
    /// on disk before the run continues. Other events are buffered until the store can write them.
    pub(super) async fn journal(&mut self, event: Event) -> Result<(), EngineError> {
        if let Some((time, claimed)) = self.pending_claim.take() {
            let record = self.journal.write_or_buffer(time, claimed).await;
            self.subscriber.record(&record);
        }
        let time = self.ports.clock.now();
        // The event is checked before it is on disk, because an impossible record would make the journal unusable.
        self.state.check(&event)?;
        let moves_on = match &event {
            Event::HookStarted { hook, .. } => !hook.at.is_rollback(),
            Event::ItemIntended(_) => self.state.phase != Phase::RollingBack,
            Event::Intended { restore: false, .. }
            | Event::HeaderRules(HeaderRuleEvent::Planned { .. } | HeaderRuleEvent::Sent { .. })
            | Event::ProcessStarted { .. }
            | Event::RetireStarted { .. }
            | Event::Finished { outcome: RunOutcome::Completed, .. } => true,
            Event::Started(_)
            | Event::StepStarted { .. }
            | Event::BindingDone { .. }
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
            | Event::LeftOut { .. }
            | Event::Frozen { .. }
            | Event::Unfrozen {}
            | Event::Drifted { .. }
            | Event::ConditionsChanged { .. }
            | Event::RuleCreated { .. }
            | Event::GateFailed { .. }
            | Event::GateMeasured { .. }
            | Event::VerdictChanged { .. }
            | Event::Compared(_)
            | Event::RollbackStarted { .. }
            | Event::RampStarted { .. }
            | Event::Ramped { .. }
            | Event::HookEnded { .. }
            | Event::HeaderRules(_)
            | Event::BindingRemoved { .. }
            | Event::ItemOutcome(_)
            | Event::ItemDrained(_)
            | Event::Waiting { .. }
            | Event::Health { .. }
            | Event::WeightsTagged { .. }
            | Event::Notice { .. }
            | Event::Finished { .. }
            | Event::Stopped { .. }
            | Event::Unknown { .. }
            | Event::ClientsMeasured(_)
            | Event::Notified { .. } => false,
        };
        let first = moves_on && !self.restores;
        let record = if first {
            self.journal.write(time, &event).await?
        } else {
            self.journal.write_or_buffer(time, event).await
        };
        self.state.apply(record.time, &record.event)?;
        match &record.event {
            Event::LeftOut { routes, .. } => {
                let groups = self.watch_list.groups().to_vec();
                self.watch_list = observation::WatchList::of(self.plan, &self.state);
                self.hints = Hints::start(&self.ports, &self.watch_list, self.settings.parts);
                let unwatched = groups.iter().filter(|group| !self.watch_list.has_group(group));
                self.watch.forget(routes, unwatched);
            }
            // Refused writes are sent again.
            Event::Resumed { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                // Routes may have joined the run.
                self.watch_list = observation::WatchList::of(self.plan, &self.state);
                self.hints = Hints::start(&self.ports, &self.watch_list, self.settings.parts);
                self.watch.rejected_writes.clear();
                self.executor.clear_refusals();
            }
            // The next stage of the rollback writes another split.
            Event::Ramped { .. } => {
                self.watch.rejected_writes.clear();
                self.executor.clear_refusals();
            }
            Event::Finished { remarks, unresolved: left, accepted, .. } => {
                self.final_report = (remarks.clone(), left.clone(), accepted.clone());
            }
            _ => {}
        }
        if matches!(record.event, Event::Resumed { mode: ResumeMode { include_new: true, .. }, .. }) {
            self.write_script().await;
        }
        if matches!(record.event, Event::RetireStarted { .. }) {
            ownership::disarm_script(&*self.ports.store, &self.state.run).await;
        }
        self.subscriber.record(&record);
        Ok(())
    }

    /// Writes the break-glass script with the added routes, after the journal contains them.
    pub(super) async fn write_script(&self) {
        let (store, state) = (&*self.ports.store, &self.state);
        ownership::write_script(store, &state.run, &state.started, self.plan.marker, state.started_at).await;
    }

    pub(super) async fn journal_all(&mut self, events: Vec<Event>) -> Result<(), EngineError> {
        for event in events {
            self.journal(event).await?;
        }
        Ok(())
    }

    /// Journals the changes that the last observation shows. After this, `resume` applies to the changes that are live
    /// now, not to those that were live when an earlier process stopped.
    async fn journal_observed(&mut self) -> Result<(), EngineError> {
        if self.state.finished.is_some() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let context = Context { plan: self.plan, state: &self.state, observed: &self.watch, now };
        self.journal_all(decide::observed_events(&context)).await
    }

    /// Carries out requests from the store. A request stays in the store until its event is on disk, so that the next
    /// process finds the request.
    pub(super) async fn carry_out_requests(&mut self) -> Result<(), EngineError> {
        for (name, request) in self.ports.store.requests(&self.state.run).await.unwrap_or_default() {
            // A request that was already journalled is still in the store if its process died before it removed the
            // request.
            if !self.state.answered_requests.contains(&name) {
                if matches!(request, Request::Resume { .. }) {
                    self.journal_observed().await?;
                }
                let event = request::to_event(self.plan, &self.state, &request, Some(&name));
                let event = self.refuse_without_way_back(event, request.kind()).await;
                let event = self.refuse_while_it_answers(event).await;
                let resumed = matches!(event, Event::Resumed { .. });
                self.journal(event).await?;
                if resumed {
                    self.put_missing_tags().await?;
                }
            }
            if self.journal.is_flushed()
                && let Err(error) = self.ports.store.drop_request(&self.state.run, &name).await
            {
                tracing::warn!(
                    "a request that was carried out cannot be removed from the store: {error}; it is not repeated"
                );
            }
        }
        Ok(())
    }

    /// Refuses to start a rollback that would restore no route: this process would then have nothing left to do, and
    /// nobody would guard the traffic.
    async fn refuse_without_way_back(&mut self, event: Event, kind: RequestKind) -> Event {
        let starts = matches!(
            event,
            Event::RollbackStarted { force: false, to_step: None, .. } | Event::RampStarted { force: false, .. }
        );
        if !starts || self.state.phase == Phase::RollingBack || !refuses_rollback(&self.state, &self.watch) {
            return event;
        }
        self.observe().await;
        if !refuses_rollback(&self.state, &self.watch) {
            return event;
        }
        Event::Notice {
            message: format!("no route was restored: {}; the run is guarded as before", no_target_text(&self.state)),
            refused: Some(kind),
            request: event.request().map(str::to_owned),
        }
    }

    /// Refuses to leave out a load balancer that answers: the operator may have the wrong one.
    async fn refuse_while_it_answers(&mut self, event: Event) -> Event {
        let Event::LeftOut { routes, .. } = &event else { return event };
        self.observe().await;
        let answers = |id: &&RouteId| self.watch.routes.get(*id).is_some_and(|reading| reading.value.is_ok());
        let Some(route) = routes.iter().find(answers).and_then(|id| self.state.routes.get(id)) else { return event };
        Event::Notice {
            message: format!("{} answers: it was not left out, and the run is guarded as before", route.start.label),
            refused: Some(RequestKind::Resume),
            request: event.request().map(str::to_owned),
        }
    }

    /// Journals the waits when the reasons change, and the health when the target counts change.
    pub(super) async fn journal_waits(&mut self, waits: Vec<Wait>, now: Timestamp) -> Result<(), EngineError> {
        let changed = waits.len() != self.waits.len()
            || waits.iter().zip(&self.waits).any(|(a, b)| a.reason != b.reason || a.message != b.message);
        self.waits = waits;
        if changed && !self.waits.is_empty() {
            self.journal(Event::Waiting { waits: self.waits.clone() }).await?;
        }
        self.journal_health().await?;
        self.subscriber.iteration_ended(&self.state, &self.watch, &self.waits, now);
        Ok(())
    }

    /// Journals the target counts if they changed. In a large run, each part of a round changes only some of the
    /// groups, so the event has only these groups.
    async fn journal_health(&mut self) -> Result<(), EngineError> {
        // Both maps have the same order, so no group is searched for.
        let mut known = self.counts.iter().peekable();
        let mut changed = BTreeMap::new();
        for (arn, samples) in &self.watch.samples {
            let Some(last) = samples.back() else { continue };
            while known.next_if(|(other, _)| *other < arn).is_some() {}
            let before = known.next_if(|(other, _)| *other == arn).map(|(_, counts)| *counts);
            if before != Some(last.counts) {
                changed.insert(arn.clone(), last.counts);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.counts.extend(changed.clone());
        let groups = if self.settings.parts > 1 { changed } else { self.counts.clone() };
        self.journal(Event::Health { groups }).await
    }
}
