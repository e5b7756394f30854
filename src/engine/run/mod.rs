//! Drives a run in a loop: observes, journals, acts and stops. Decisions are in `domain::decide`.

use std::time::Duration;

use jiff::Timestamp;

use super::journal::JournalWriter;
use super::journal_clock::JournalClock;
use super::limit::PollSlowdown;
use super::ownership::Ownership;
use super::write::Executor;
use super::write::restore::{self as restore_writes, InFlight};
use super::{Ending, EngineError, Interrupt, Ports, Settings, Subscriber, observation, request};
use crate::domain::decide::{Context, Decision, WayBack, decide, is_continuous, way_back};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{Event, RunOutcome, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, State};
use crate::plan::model::Plan;
use crate::port::store::{LockGuard, Request};

mod act;
mod census;
mod compare;
mod comparison_task;
mod ending;
mod header_rules;
mod hints;
mod hook_tasks;
mod hooks;
mod items;
mod journaling;
mod measure;
mod metric_queries;
mod observe;
mod restore;
mod weights;

/// The time between two checks for new operator requests.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// A run that this process drives.
pub struct RunLoop<'a> {
    plan: &'a Plan,
    ports: Ports,
    settings: Settings,
    interrupt: Interrupt,
    locks: LockGuard,
    subscriber: &'a mut dyn Subscriber,
    state: State,
    watch: Observed,
    executor: Executor,
    /// The restoring writes in progress.
    in_flight: InFlight,
    watch_list: observation::WatchList,
    waits: Vec<Wait>,
    counts: std::collections::BTreeMap<String, HealthCounts>,
    journal: JournalWriter,
    /// The event that this process drives the run, for a call of `cutover step` that continues the run. It is
    /// journalled together with the next event.
    pending_claim: Option<(Timestamp, Event)>,
    /// The number of refusals to make a header rule, by number of the rule.
    header_refusals: std::collections::BTreeMap<u32, u32>,
    metric_queries: metric_queries::MetricQueries,
    hook_tasks: hook_tasks::HookTasks,
    comparing: comparison_task::ComparisonTask,
    /// Whether this process restores the original shares. If so, only another owner of the run stops this process.
    restores: bool,
    /// The run whose load balancers this run took over.
    replaced_run: Option<String>,
    /// The remarks of the finished run, the routes that are not restored, and the accepted changes.
    final_report: (Vec<String>, Vec<String>, Vec<String>),
    /// The hints that decide which groups are read next, if an observation has several parts.
    hints: hints::Hints,
    /// The slowdown of observations while AWS throttles.
    slowdown: PollSlowdown,
    /// The time when the limits of autoscalers were last read.
    autoscalers_read_at: Option<Timestamp>,
    /// The time when the rules were last counted.
    rules_counted_at: Option<Timestamp>,
    /// The list of all rules that is being read in parts.
    census: Option<census::CensusParts>,
    /// The time when every route was last read as journalled. Before this process's first observation: the time of the
    /// previous process.
    seen_intact_at: Option<Timestamp>,
}

impl<'a> RunLoop<'a> {
    /// Starts to drive a run whose journal contains at least the event `started`.
    pub async fn open(
        plan: &'a Plan,
        ports: Ports,
        settings: Settings,
        ownership: Ownership,
        interrupt: Interrupt,
        subscriber: &'a mut dyn Subscriber,
    ) -> Result<Self, EngineError> {
        let Ownership { run, locks: held, restores, marker_write: marking, replaced_run: replaced, .. } = ownership;
        let records = ports.store.read(&run).await?;
        let state = State::fold(&records)?.ok_or_else(|| EngineError::Empty(run.clone()))?;
        let ports = Ports { clock: JournalClock::at_least(ports.clock, state.last_record_at), ..ports };
        let now = ports.clock.now();
        let seen =
            if restores { restore_writes::last_seen_intact(&*ports.store, &records, &state, now).await } else { None };
        let joined = matches!(
            records.first().map(|r| &r.event),
            Some(Event::Started(s)) if s.routes.len() < state.started.routes.len()
        );
        let tagged = Self::journalled_tags(&records);
        drop(records);
        let gates = &plan.strategy.gates;
        let intervals = state.started.groups.values().map(|g| Duration::from_secs(g.interval.into()) * 3);
        let keep =
            intervals.chain([gates.guard.for_]).chain(gates.raise.stable_for).max().unwrap_or_default() + settings.gap;
        let mut subject = observation::WatchList::of(plan, &state);
        let mut in_flight = InFlight::new(settings.modify);
        if let Some(marking) = marking {
            subject.expect_marker();
            in_flight.put_marker(marking);
        }
        let mut run_loop = Self {
            hints: hints::Hints::start(&ports, &subject, settings.parts),
            watch: Observed::new(now, settings.poll, keep)
                .with_bounds(settings.gap, settings.max_reading_age)
                .with_observe_every(plan.strategy.observe_every),
            executor: Executor::new(&settings, now),
            in_flight,
            seen_intact_at: seen,
            pending_claim: None,
            journal: JournalWriter::new(std::sync::Arc::clone(&ports.store), &run),
            header_refusals: std::collections::BTreeMap::new(),
            metric_queries: metric_queries::MetricQueries::default(),
            hook_tasks: hook_tasks::HookTasks::default(),
            comparing: comparison_task::ComparisonTask::default(),
            restores: restores || state.phase == Phase::RollingBack,
            replaced_run: replaced,
            final_report: Default::default(),
            plan,
            ports,
            settings,
            interrupt,
            locks: held,
            subscriber,
            state,
            watch_list: subject,
            waits: Vec::new(),
            counts: std::collections::BTreeMap::new(),
            slowdown: PollSlowdown::new(),
            autoscalers_read_at: None,
            rules_counted_at: None,
            census: None,
        };
        let Settings { owner, pid, .. } = run_loop.settings.clone();
        let last = run_loop
            .ports
            .store
            .heartbeat(&run_loop.state.run)
            .await
            .map_or(run_loop.state.last_record_at, |heartbeat| {
                heartbeat.observed_at.max(run_loop.state.last_record_at)
            });
        let onward = is_continuous(plan, last, now);
        run_loop
            .claim(
                Event::ProcessStarted { owner, pid, tool: env!("CARGO_PKG_VERSION").into(), continuous: onward },
                onward,
            )
            .await?;
        if joined && !run_loop.restores {
            // The previous process may have died after it journalled the added routes and before it wrote the script.
            run_loop.write_script().await;
        }
        run_loop.put_missing_weights(tagged).await?;
        Ok(run_loop)
    }

    /// Carries out the request that this process was started with. The inner error says why the request is not
    /// possible.
    pub async fn carry_out(&mut self, request: &Request) -> Result<Result<(), String>, EngineError> {
        let event = request::to_event(self.plan, &self.state, request, None);
        self.journal(event.clone()).await?;
        let was_rolling_back = self.state.phase == Phase::RollingBack;
        Ok(match event {
            Event::Notice { message, .. } if !was_rolling_back => Err(message),
            _ => Ok(()),
        })
    }

    /// Returns the run's current state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the healthy targets to which a rollback would return the traffic, at the last observation.
    pub fn way_back(&self) -> Vec<WayBack> {
        way_back(&self.state, &self.watch)
    }

    /// Releases the locks. The run must not be used afterwards.
    pub async fn release(&mut self) {
        self.hook_tasks.stop().await;
        self.locks.release().await;
    }

    /// Drives the run until the run is finished or this process must stop.
    pub async fn drive(&mut self) -> Result<Ending, EngineError> {
        if self.state.phase == Phase::RollingBack && self.seen_intact_at.is_some() {
            // A reading from the last minute is enough to restore the shares; this process observes meanwhile.
            self.watch.last_attempt = self.ports.clock.now();
        } else {
            self.observe().await;
        }
        let mut exiting = false;
        loop {
            if self.check_ownership() {
                self.carry_out_requests().await?;
            }
            self.journal_ended_hooks().await?;
            if let Some((stop, message)) = self.interrupt.requested().cloned() {
                return self.stop_on_request(stop, message).await;
            }
            let now = self.ports.clock.now();
            self.hints.collect(&self.ports.metrics, &self.state, now);
            if self.observation_due(now) {
                self.observe().await;
                self.check_ownership();
            }
            self.measure(exiting).await?;
            self.compare(exiting);
            let now = self.ports.clock.now();
            let decision = decide(
                &Context { plan: self.plan, state: &self.state, observed: &self.watch, now },
                self.settings.orders,
            );
            tracing::debug!(?decision, "decided");
            exiting = match decision {
                Decision::Exit(..) => true,
                Decision::Record(_) => exiting,
                _ => false,
            };
            match decision {
                Decision::Record(events) => {
                    let over = matches!(events[..], [Event::Finished { outcome: RunOutcome::Completed, .. }]);
                    match self.journal_all(events).await {
                        // The journal must contain the end before the run is reported as finished; otherwise another
                        // process would continue it.
                        Err(error) if over => self.wait_for_journal(error, now).await?,
                        written => written?,
                    }
                }
                Decision::ReadHealth(groups) => {
                    let seen =
                        observation::observe_health(&groups, &*self.ports.balancer.traffic, &*self.ports.clock).await;
                    self.add_readings(seen).await;
                }
                Decision::ReadRoutes => {
                    let (traffic, clock) = (&*self.ports.balancer.traffic, &*self.ports.clock);
                    let seen = observation::observe_routes(&self.watch_list, traffic, clock).await;
                    (self.rules_counted_at, self.census) = (Some(self.ports.clock.now()), None);
                    self.add_readings(seen).await;
                }
                // Boxed, so that the future of the loop stays small.
                Decision::Write(batch) if batch.restore => Box::pin(self.restore(batch)).await?,
                Decision::Write(batch) => Box::pin(self.write(batch)).await?,
                Decision::StartHook(hook) => self.start_hook(hook).await?,
                Decision::HeaderRules(task) => Box::pin(self.header_rules(task)).await?,
                Decision::ReadItems(places) => Box::pin(self.read_items(&places)).await,
                Decision::MoveItem(intent) => Box::pin(self.move_item(intent)).await?,
                Decision::Bind(bindings) => Box::pin(self.bind(bindings)).await?,
                Decision::Unbind(bindings) => self.unbind(bindings).await?,
                Decision::Wait(waits) => {
                    self.read_autoscalers(&waits, now).await;
                    self.journal_waits(waits, now).await?;
                    if let Some(ending) = self.stop_if_frozen().await? {
                        return Ok(ending);
                    }
                    self.sleep_until_due(now).await;
                    self.watch.binding_waits.clear();
                    self.watch.header_waits.clear();
                }
                // The queries in progress must end first, because the next process would have to repeat them.
                Decision::Exit(StopReason::Waiting, _) if self.metric_queries.wait().await => {}
                Decision::Exit(stop, message) => return self.stop(stop, message).await,
                Decision::Finished(outcome) => return Ok(self.end_run(outcome).await),
            }
        }
    }

    /// Returns whether the store has requests that are not answered yet.
    async fn has_new_requests(&self) -> bool {
        let requests = self.ports.store.requests(&self.state.run).await;
        requests.is_ok_and(|r| r.iter().any(|(name, _)| !self.state.answered_requests.contains(name)))
    }

    /// Sleeps until the next observation or the end of a wait. A request or `^C` ends the sleep within a second.
    async fn sleep_until_due(&mut self, now: Timestamp) {
        let next_observation = self.watch.last_attempt.checked_add(self.poll()).unwrap_or(Timestamp::MAX);
        let ends = self.waits.iter().filter_map(|w| w.until).chain(self.settings.orders.exit_after);
        let over = ends.filter(|until| *until > now).min();
        let next = over.map_or(next_observation, |over| over.min(next_observation));
        let mut left = next.duration_since(now).try_into().unwrap_or(Duration::ZERO).max(Duration::from_millis(100));
        while !left.is_zero() && self.interrupt.requested().is_none() {
            let (pause, began) = (left.min(REQUEST_INTERVAL), self.ports.clock.now());
            tokio::select! {
                () = self.ports.clock.sleep(pause) => {}
                () = self.hook_tasks.wait() => return,
                () = self.comparing.wait() => return,
                () = self.hints.wait(&*self.ports.clock) => {
                    if self.hints.found_suspect {
                        return;
                    }
                    // A message does not delay the next observation.
                    left = left.saturating_sub(self.ports.clock.now().duration_since(began).unsigned_abs());
                    continue;
                }
            }
            left = left.saturating_sub(pause);
            if self.has_new_requests().await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod large_run;
#[cfg(test)]
mod tests;
