//! The loop that drives a run: it observes, journals, acts and stops. Decisions are in `domain::decide`.

use std::time::Duration;

use jiff::Timestamp;

use super::journal::JournalWriter;
use super::journal_clock::JournalClock;
use super::limit::PollSlowdown;
use super::ownership::Ownership;
use super::write::Executor;
use super::write::restore::{self as sight, InFlight};
use super::{Audience, Ending, EngineError, Interrupt, Ports, Settings, observation, request};
use crate::domain::decide::{Context, Decision, decide, is_continuous};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{Event, RunOutcome, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, State};
use crate::plan::model::Plan;
use crate::port::store::{LockGuard, Request};

mod act;
mod ending;
mod hook_tasks;
mod hooks;
mod journaling;
mod measure;
mod metric_queries;
mod observe;
mod restore;

/// A run that this process drives.
pub struct RunLoop<'a> {
    plan: &'a Plan,
    ports: Ports,
    settings: Settings,
    interrupt: Interrupt,
    locks: LockGuard,
    audience: &'a mut dyn Audience,
    state: State,
    watch: Observed,
    executor: Executor,
    /// Restoring writes under way.
    flights: InFlight,
    watch_list: observation::WatchList,
    waits: Vec<Wait>,
    counts: std::collections::BTreeMap<String, HealthCounts>,
    journal: JournalWriter,
    /// The `claimed` event of a scheduler's call that continues a run. It is journalled together with the next event.
    pending_claim: Option<(Timestamp, Event)>,
    metric_queries: metric_queries::MetricQueries,
    hook_tasks: hook_tasks::HookTasks,
    /// This process restores the original shares: only another owner stops it.
    restores: bool,
    /// The run whose load balancers this run took over.
    replaced_run: Option<String>,
    /// The remarks of the finished run, and the routes that are not restored.
    final_report: (Vec<String>, Vec<String>, Vec<String>),
    /// Slows down the observations while AWS throttles.
    slowdown: PollSlowdown,
    /// When autoscalers were last read.
    autoscalers_read_at: Option<Timestamp>,
    /// When the rules were last counted.
    rules_counted_at: Option<Timestamp>,
    /// When every route was last seen as the journal says: by this process, or before its first observation by the
    /// previous one.
    seen_intact_at: Option<Timestamp>,
}

impl<'a> RunLoop<'a> {
    /// Starts to drive a run whose journal has at least the event `started`.
    pub async fn open(
        plan: &'a Plan,
        ports: Ports,
        settings: Settings,
        ownership: Ownership,
        interrupt: Interrupt,
        audience: &'a mut dyn Audience,
    ) -> Result<Self, EngineError> {
        let Ownership { run, locks: held, restores, marker_write: marking, replaced_run: replaced, .. } = ownership;
        let records = ports.store.read(&run).await?;
        let state = State::fold(&records)?.ok_or_else(|| EngineError::Empty(run.clone()))?;
        let ports = Ports { clock: JournalClock::at_least(ports.clock, state.last_record_at), ..ports };
        let now = ports.clock.now();
        let seen = if restores { sight::last_seen_intact(&*ports.store, &records, &state, now).await } else { None };
        let joined = matches!(
            records.first().map(|r| &r.event),
            Some(Event::Started(s)) if s.routes.len() < state.started.routes.len()
        );
        drop(records);
        let gates = &plan.strategy.gates;
        let intervals = state.started.groups.values().map(|g| Duration::from_secs(g.interval.into()) * 3);
        let keep =
            intervals.chain([gates.guard.for_]).chain(gates.raise.stable_for).max().unwrap_or_default() + settings.gap;
        let mut subject = observation::WatchList::of(plan, &state);
        let mut flights = InFlight::new(settings.modify);
        if let Some(marking) = marking {
            subject.expect_marker();
            flights.put_marker(marking);
        }
        let mut taken = Self {
            watch: Observed::new(now, settings.poll, keep)
                .with_bounds(settings.gap, settings.max_reading_age)
                .with_observe_every(plan.strategy.observe_every),
            executor: Executor::new(&settings, now),
            flights,
            seen_intact_at: seen,
            pending_claim: None,
            journal: JournalWriter::new(std::sync::Arc::clone(&ports.store), &run),
            metric_queries: metric_queries::MetricQueries::default(),
            hook_tasks: hook_tasks::HookTasks::default(),
            restores: restores || state.phase == Phase::RollingBack,
            replaced_run: replaced,
            final_report: Default::default(),
            plan,
            ports,
            settings,
            interrupt,
            locks: held,
            audience,
            state,
            watch_list: subject,
            waits: Vec::new(),
            counts: std::collections::BTreeMap::new(),
            slowdown: PollSlowdown::new(),
            autoscalers_read_at: None,
            rules_counted_at: None,
        };
        let Settings { owner, pid, .. } = taken.settings.clone();
        let last = taken
            .ports
            .store
            .heartbeat(&taken.state.run)
            .await
            .map_or(taken.state.last_record_at, |heartbeat| heartbeat.observed_at.max(taken.state.last_record_at));
        let onward = is_continuous(plan, last, now);
        taken
            .claim(
                Event::ProcessStarted { owner, pid, tool: env!("CARGO_PKG_VERSION").into(), continuous: onward },
                onward,
            )
            .await?;
        if joined && !taken.restores {
            // The previous process may have died after it journalled the new routes and before it wrote the script.
            taken.write_script().await;
        }
        Ok(taken)
    }

    /// Carries out the request that this process was started with. The inner error says why it cannot.
    pub async fn carry_out(&mut self, request: &Request) -> Result<Result<(), String>, EngineError> {
        let event = request::to_event(self.plan, &self.state, request, None);
        self.journal(event.clone()).await?;
        let begun = self.state.phase == Phase::RollingBack;
        Ok(match event {
            Event::Notice { message, .. } if !begun => Err(message),
            _ => Ok(()),
        })
    }

    /// The run's current state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Releases the locks. The run must not be used afterwards.
    pub async fn release(&mut self) {
        self.hook_tasks.stop().await;
        self.locks.release().await;
    }

    /// Drives the run until it is finished or this process must stop.
    pub async fn drive(&mut self) -> Result<Ending, EngineError> {
        if self.state.phase == Phase::RollingBack && self.seen_intact_at.is_some() {
            // A reading of the last minute is enough to restore the shares; this process observes meanwhile.
            self.watch.last_attempt = self.ports.clock.now();
        } else {
            self.observe().await;
        }
        loop {
            if self.check_ownership() {
                self.carry_out_requests().await?;
            }
            self.journal_ended_hooks().await?;
            if let Some((stop, message)) = self.interrupt.requested().cloned() {
                return self.stop_on_request(stop, message).await;
            }
            let now = self.ports.clock.now();
            if self.observation_due(now) {
                self.observe().await;
                self.check_ownership();
            }
            self.measure().await?;
            let now = self.ports.clock.now();
            let decision = decide(
                &Context { plan: self.plan, state: &self.state, observed: &self.watch, now },
                self.settings.orders,
            );
            tracing::debug!(?decision, "decided");
            match decision {
                Decision::Record(events) => {
                    let over = matches!(events[..], [Event::Finished { outcome: RunOutcome::Completed, .. }]);
                    match self.journal_all(events).await {
                        // A run that is reported as finished must not be continued.
                        Err(error) if over => self.wait_for_journal(error, now).await?,
                        written => written?,
                    }
                }
                Decision::ReadHealth(groups) => {
                    let seen =
                        observation::observe_health(&groups, &*self.ports.balancer.traffic, &*self.ports.clock).await;
                    let now = self.ports.clock.now();
                    self.watch.add(now, seen, false);
                    // If this is still not fresh enough, the next observation follows.
                    self.end_turn(now).await;
                    tokio::task::yield_now().await;
                }
                Decision::Write(batch) if batch.restore => self.restore(batch).await?,
                Decision::Write(batch) => self.write(batch).await?,
                Decision::StartHook(hook) => self.start_hook(hook).await?,
                Decision::Bind(bindings) => self.bind(bindings).await?,
                Decision::Unbind(bindings) => self.unbind(bindings).await?,
                Decision::Wait(waits) => {
                    self.read_autoscalers(&waits, now).await;
                    self.journal_waits(waits, now).await?;
                    if let Some(ending) = self.stop_if_frozen().await? {
                        return Ok(ending);
                    }
                    self.sleep_until_due(now).await;
                    self.watch.binding_waits.clear();
                }
                // Wait for the queries under way: otherwise the next process would have to repeat them.
                Decision::Exit(StopReason::Waiting, _) if self.metric_queries.wait().await => {}
                Decision::Exit(stop, message) => return self.stop(stop, message).await,
                Decision::Finished(outcome) => return Ok(self.end_run(outcome).await),
            }
        }
    }

    /// Sleeps until the next observation or the end of a wait. Requests and `^C` end the sleep within a second.
    async fn sleep_until_due(&mut self, now: Timestamp) {
        let next_observation = self.watch.last_attempt.checked_add(self.poll()).unwrap_or(Timestamp::MAX);
        let ends = self.waits.iter().filter_map(|w| w.until).chain(self.settings.orders.exit_after);
        let over = ends.filter(|until| *until > now).min();
        let next = over.map_or(next_observation, |over| over.min(next_observation));
        let slice = Duration::from_secs(1).max(self.settings.poll / 5);
        let mut left = next.duration_since(now).try_into().unwrap_or(Duration::ZERO).max(Duration::from_millis(100));
        while !left.is_zero() && self.interrupt.requested().is_none() {
            let nap = left.min(slice);
            tokio::select! {
                () = self.ports.clock.sleep(nap) => {}
                () = self.hook_tasks.wait() => return,
            }
            left = left.saturating_sub(nap);
            if self
                .ports
                .store
                .requests(&self.state.run)
                .await
                .is_ok_and(|r| r.iter().any(|(name, _)| !self.state.answered_requests.contains(name)))
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod large_run;
#[cfg(test)]
mod tests;
