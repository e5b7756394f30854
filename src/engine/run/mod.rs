//! The loop that drives a run: it observes, journals, acts and stops. Decisions are in `domain::decide`.

use std::time::Duration;

use jiff::Timestamp;

use super::ahead::Ahead;
use super::hold::Hold;
use super::journal::Journal;
use super::limit::Ease;
use super::write::Executor;
use super::write::restore::{self as sight, Flights};
use super::{Audience, Ending, EngineError, Interrupt, Ports, Settings, look, request};
use crate::domain::decide::{Context, Decision, carries_on, decide};
use crate::domain::health::Counts;
use crate::domain::run::event::{Event, Outcome, Stop, Wait};
use crate::domain::run::state::{Phase, State};
use crate::domain::run::watch::Watch;
use crate::plan::model::Plan;
use crate::port::store::{Held, Request};

mod act;
mod asking;
mod call;
mod calling;
mod leave;
mod measure;
mod observe;
mod record;
mod restore;

/// A run that this process drives.
pub struct Run<'a> {
    plan: &'a Plan,
    ports: Ports,
    settings: Settings,
    interrupt: Interrupt,
    held: Held,
    audience: &'a mut dyn Audience,
    state: State,
    watch: Watch,
    executor: Executor,
    /// Restoring writes under way.
    flights: Flights,
    subject: look::Subject,
    waits: Vec<Wait>,
    counts: std::collections::BTreeMap<String, Counts>,
    journal: Journal,
    /// The `claimed` event of a scheduler's call that continues a run. It is journalled together with the next event.
    unclaimed: Option<(Timestamp, Event)>,
    asking: asking::Asking,
    calling: calling::Calling,
    /// This process restores the original shares: only another owner stops it.
    restores: bool,
    /// The run whose load balancers this run took over.
    replaced: Option<String>,
    /// The remarks of the finished run, and the routes that are not restored.
    said: (Vec<String>, Vec<String>),
    /// Slows down the observations while AWS throttles.
    ease: Ease,
    /// When autoscalers were last read.
    asked: Option<Timestamp>,
    /// When the rules were last counted.
    counted: Option<Timestamp>,
    /// When every route was last seen as the journal says: by this process, or before its first observation by the
    /// previous one.
    seen: Option<Timestamp>,
}

impl<'a> Run<'a> {
    /// Starts to drive a run whose journal has at least the event `started`.
    pub async fn take(
        plan: &'a Plan,
        ports: Ports,
        settings: Settings,
        hold: Hold,
        interrupt: Interrupt,
        audience: &'a mut dyn Audience,
    ) -> Result<Self, EngineError> {
        let Hold { run, held, restores, marking, replaced, .. } = hold;
        let records = ports.store.read(&run).await?;
        let state = State::fold(&records)?.ok_or_else(|| EngineError::Empty(run.clone()))?;
        let ports = Ports { clock: Ahead::of(ports.clock, state.last), ..ports };
        let now = ports.clock.now();
        let seen = if restores { sight::seen(&*ports.store, &records, &state, now).await } else { None };
        let joined = matches!(
            records.first().map(|r| &r.event),
            Some(Event::Started(s)) if s.routes.len() < state.started.routes.len()
        );
        drop(records);
        let gates = &plan.strategy.gates;
        let intervals = state.started.groups.values().map(|g| Duration::from_secs(g.interval.into()) * 3);
        let keep =
            intervals.chain([gates.guard.for_]).chain(gates.raise.stable_for).max().unwrap_or_default() + settings.gap;
        let mut subject = look::Subject::of(plan, &state);
        let mut flights = Flights::new(settings.modify);
        if let Some(marking) = marking {
            subject.unmarked();
            flights.mark(marking);
        }
        let mut taken = Self {
            watch: Watch::new(now, settings.poll, keep)
                .bearing(settings.gap, settings.fresh)
                .observing(plan.strategy.observe_every),
            executor: Executor::new(&settings, now),
            flights,
            seen,
            unclaimed: None,
            journal: Journal::new(std::sync::Arc::clone(&ports.store), &run),
            asking: asking::Asking::default(),
            calling: calling::Calling::default(),
            restores: restores || state.phase == Phase::RollingBack,
            replaced,
            said: Default::default(),
            plan,
            ports,
            settings,
            interrupt,
            held,
            audience,
            state,
            subject,
            waits: Vec::new(),
            counts: std::collections::BTreeMap::new(),
            ease: Ease::new(),
            asked: None,
            counted: None,
        };
        let Settings { owner, pid, .. } = taken.settings.clone();
        let last = taken
            .ports
            .store
            .look(&taken.state.run)
            .await
            .map_or(taken.state.last, |look| look.at.max(taken.state.last));
        let onward = carries_on(plan, last, now);
        taken.claim(Event::Claimed { owner, pid, tool: env!("CARGO_PKG_VERSION").into(), onward }, onward).await?;
        if joined && !taken.restores {
            // The previous process may have died after it journalled the new routes and before it wrote the script.
            taken.break_glass().await;
        }
        Ok(taken)
    }

    /// Carries out the request that this process was started with. The inner error says why it cannot.
    pub async fn begin(&mut self, request: &Request) -> Result<Result<(), String>, EngineError> {
        let event = request::event(self.plan, &self.state, request, None);
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
        self.calling.stop().await;
        self.held.release().await;
    }

    /// Drives the run until it is finished or this process must stop.
    pub async fn drive(&mut self) -> Result<Ending, EngineError> {
        if self.state.phase == Phase::RollingBack && self.seen.is_some() {
            // A reading of the last minute is enough to restore the shares; this process observes meanwhile.
            self.watch.tried = self.ports.clock.now();
        } else {
            self.look().await;
        }
        loop {
            if self.owned() {
                self.hear().await?;
            }
            self.answered().await?;
            if let Some((stop, message)) = self.interrupt.raised().cloned() {
                return self.interrupted(stop, message).await;
            }
            let now = self.ports.clock.now();
            if self.due(now) {
                self.look().await;
                self.owned();
            }
            self.measure().await?;
            let now = self.ports.clock.now();
            let decision =
                decide(&Context { plan: self.plan, state: &self.state, watch: &self.watch, now }, self.settings.orders);
            tracing::debug!(?decision, "decided");
            match decision {
                Decision::Record(events) => {
                    let over = matches!(events[..], [Event::Finished { outcome: Outcome::Completed, .. }]);
                    match self.journal_all(events).await {
                        // A run that is reported as finished must not be continued.
                        Err(error) if over => self.unwritten(error, now).await?,
                        written => written?,
                    }
                }
                Decision::Look(groups) => {
                    let seen = look::health(&groups, &*self.ports.balancer.traffic, &*self.ports.clock).await;
                    let now = self.ports.clock.now();
                    self.watch.absorb(now, seen, false);
                    // If this is still not fresh enough, the next observation follows.
                    self.turn(now).await;
                    tokio::task::yield_now().await;
                }
                Decision::Write(batch) if batch.restore => self.restore(batch).await?,
                Decision::Write(batch) => self.write(batch).await?,
                Decision::Call(hook) => self.call(hook).await?,
                Decision::Bind(bindings) => self.bind(bindings).await?,
                Decision::Unbind(bindings) => self.unbind(bindings).await?,
                Decision::Wait(waits) => {
                    self.ask_ceilings(&waits, now).await;
                    self.note(waits, now).await?;
                    if let Some(ending) = self.leaves().await? {
                        return Ok(ending);
                    }
                    self.rest(now).await;
                    self.watch.unbound.clear();
                }
                // Wait for the queries under way: otherwise the next process would have to repeat them.
                Decision::Leave(Stop::Waiting, _) if self.asking.wait().await => {}
                Decision::Leave(stop, message) => return self.leave(stop, message).await,
                Decision::Done(outcome) => return Ok(self.finished(outcome).await),
            }
        }
    }

    /// Sleeps until the next observation or the end of a wait. Requests and `^C` end the sleep within a second.
    async fn rest(&mut self, now: Timestamp) {
        let look = self.watch.tried.checked_add(self.poll()).unwrap_or(Timestamp::MAX);
        let ends = self.waits.iter().filter_map(|w| w.until).chain(self.settings.orders.leave);
        let over = ends.filter(|until| *until > now).min();
        let next = over.map_or(look, |over| over.min(look));
        let slice = Duration::from_secs(1).max(self.settings.poll / 5);
        let mut left = next.duration_since(now).try_into().unwrap_or(Duration::ZERO).max(Duration::from_millis(100));
        while !left.is_zero() && self.interrupt.raised().is_none() {
            let nap = left.min(slice);
            tokio::select! {
                () = self.ports.clock.sleep(nap) => {}
                () = self.calling.wait() => return,
            }
            left = left.saturating_sub(nap);
            if self
                .ports
                .store
                .requests(&self.state.run)
                .await
                .is_ok_and(|r| r.iter().any(|(name, _)| !self.state.heard.contains(name)))
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod town;
