//! The loop that owns a run. Its rooms: looking, the journal, acting, leaving.

use std::time::Duration;

use jiff::Timestamp;

use super::ahead::Ahead;
use super::hold::Hold;
use super::journal::Journal;
use super::limit::Ease;
use super::write::Executor;
use super::write::restore as sight;
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

/// A run in the hands of this process.
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
    subject: look::Subject,
    waits: Vec<Wait>,
    counts: std::collections::BTreeMap<String, Counts>,
    journal: Journal,
    /// The claim of a process that goes on where another left, until there is anything else to be journalled.
    unclaimed: Option<(Timestamp, Event)>,
    asking: asking::Asking,
    calling: calling::Calling,
    /// This process restores: nothing but another owner stops it.
    restores: bool,
    /// The run from whose owner this one took the load balancers over.
    replaced: Option<String>,
    /// What the end of the run says that a person must know, and the routes that are not back.
    said: (Vec<String>, Vec<String>),
    /// How much more seldom than planned it looks, because AWS throttles.
    ease: Ease,
    /// When autoscalers were last asked.
    asked: Option<Timestamp>,
    /// When the rules were last counted.
    counted: Option<Timestamp>,
    /// When every route was last seen as the journal says: by this process, or before its first look by the one before it.
    seen: Option<Timestamp>,
}

impl<'a> Run<'a> {
    /// Takes a run in hand whose journal has at least its `started`.
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
        let joined = matches!(records.first().map(|r| &r.event), Some(Event::Started(s)) if s.routes.len() < state.started.routes.len());
        drop(records);
        let gates = &plan.strategy.gates;
        let intervals = state.started.groups.values().map(|g| Duration::from_secs(g.interval.into()) * 3);
        let keep =
            intervals.chain([gates.guard.for_]).chain(gates.raise.stable_for).max().unwrap_or_default() + settings.gap;
        let mut subject = look::Subject::of(plan, &state);
        let mut executor = Executor::new(&settings, now);
        if let Some(marking) = marking {
            subject.unmarked();
            executor.flights.mark(marking);
        }
        let mut taken = Self {
            watch: Watch::new(now, settings.poll, keep)
                .bearing(settings.gap, settings.fresh)
                .observing(plan.strategy.observe_every),
            executor,
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
            // The process before it may have died between the two.
            taken.break_glass().await;
        }
        Ok(taken)
    }

    /// Begins what a person asked this very process for; `Err` with why it cannot be.
    pub async fn begin(&mut self, request: &Request) -> Result<Result<(), String>, EngineError> {
        let event = request::event(self.plan, &self.state, request, None);
        self.journal(event.clone()).await?;
        let begun = self.state.phase == Phase::RollingBack;
        Ok(match event {
            Event::Notice { message, .. } if !begun => Err(message),
            _ => Ok(()),
        })
    }

    /// The run's state as it is now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Gives the locks back. Nothing is to be done with the run afterwards.
    pub async fn release(&mut self) {
        self.calling.stop().await;
        self.held.release().await;
    }

    /// Goes on until the run is over or this process must leave it.
    pub async fn drive(&mut self) -> Result<Ending, EngineError> {
        if self.state.phase == Phase::RollingBack && self.seen.is_some() {
            // What was seen a moment ago is good enough to put the traffic back; this process looks meanwhile.
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
                        // Nobody must take up again what was said to be over.
                        Err(error) if over => self.unwritten(error, now).await?,
                        written => written?,
                    }
                }
                Decision::Look(groups) => {
                    let seen = look::health(&groups, &*self.ports.balancer.traffic, &*self.ports.clock).await;
                    let now = self.ports.clock.now();
                    self.watch.absorb(now, seen, false);
                    // Where even this cannot be fresh enough, there is a next look.
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
                // What has been asked is heard first: the next process would have to ask again.
                Decision::Leave(Stop::Waiting, _) if self.asking.wait().await => {}
                Decision::Leave(stop, message) => return self.leave(stop, message).await,
                Decision::Done(outcome) => return Ok(self.finished(outcome).await),
            }
        }
    }

    /// Until the next look, or the end of a wait; requests and `^C` are heard within a second.
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
