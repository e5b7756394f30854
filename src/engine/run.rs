//! The loop that owns a run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::hold::Hold;
use super::journal::Journal;
use super::write::Executor;
use super::{Audience, Ending, EngineError, Interrupt, Ports, Settings, bind, look, request};
use crate::adapter::store::{Held, Look, Request};
use crate::domain::decide::{self, Batch, Decision, decide};
use crate::domain::event::{BindingStart, Counts, Event, Wait, WaitReason, Write};
use crate::domain::state::{Phase, State};
use crate::domain::watch::Watch;
use crate::plan::model::Plan;

mod leave;

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
    /// This process restores: nothing but another owner stops it.
    restores: bool,
    /// What the end of the run says that a person must know, and the routes that are not back.
    said: (Vec<String>, Vec<String>),
    /// When autoscalers were last asked.
    asked: Option<Timestamp>,
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
        let Hold { run, held, restores, .. } = hold;
        let state = State::fold(&ports.store.read(&run).await?)?.ok_or_else(|| EngineError::Empty(run.clone()))?;
        let now = ports.clock.now();
        let gates = &plan.strategy.gates;
        let intervals = state.started.groups.values().map(|g| Duration::from_secs(g.interval.into()) * 3);
        let keep = intervals.chain([gates.guard.for_]).chain(gates.raise.stable_for).max().unwrap_or_default() + settings.gap;
        let subject = look::Subject::of(plan, &state);
        let mut taken = Self {
            watch: Watch::new(now, settings.poll, keep).bearing(settings.gap, settings.fresh),
            executor: Executor::new(&settings, now),
            journal: Journal::new(std::sync::Arc::clone(&ports.store), &run),
            restores,
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
            asked: None,
        };
        let claimed =
            Event::Claimed { owner: taken.settings.owner.clone(), pid: taken.settings.pid, tool: env!("CARGO_PKG_VERSION").into() };
        taken.journal(claimed).await?;
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

    /// Goes on until the run is over or this process must leave it.
    pub async fn drive(&mut self) -> Result<Ending, EngineError> {
        self.look().await;
        loop {
            if self.owned() {
                self.hear().await?;
            }
            if let Some((stop, message)) = self.interrupt.raised().cloned() {
                return self.interrupted(stop, message).await;
            }
            let now = self.ports.clock.now();
            if self.due(now) {
                self.look().await;
                self.owned();
            }
            let now = self.ports.clock.now();
            let decision = decide(self.plan, &self.state, &self.watch, self.settings.orders, now);
            tracing::debug!(?decision, "decided");
            match decision {
                Decision::Record(events) => self.journal_all(events).await?,
                Decision::Look(groups) => {
                    let seen = look::health(&groups, &*self.ports.balancer, &*self.ports.clock).await;
                    let now = self.ports.clock.now();
                    self.watch.absorb(now, seen, false);
                    // Where even this cannot be fresh enough, there is a next look.
                    self.turn(now).await;
                    tokio::task::yield_now().await;
                }
                Decision::Write(batch) => self.write(batch).await?,
                Decision::Bind(bindings) => self.bind(bindings).await?,
                Decision::Wait(waits) => {
                    self.ask_ceilings(&waits, now).await;
                    self.note(waits, now).await?;
                    if let Some(ending) = self.leaves().await? {
                        return Ok(ending);
                    }
                    self.rest(now).await;
                }
                Decision::Leave(stop, message) => return self.leave(stop, message).await,
                Decision::Done(outcome) => return Ok(self.finished(outcome).await),
            }
        }
    }

    /// A raise that waits is explained by the autoscaler, where that is why.
    async fn ask_ceilings(&mut self, waits: &[Wait], now: Timestamp) {
        let due = self.asked.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_mins(1));
        if due && waits.iter().any(|w| w.reason == WaitReason::RaiseGate) {
            self.asked = Some(now);
            self.watch.ceilings = look::ceilings(&self.subject, &self.ports.clusters).await;
        }
    }

    fn due(&self, now: Timestamp) -> bool {
        now.duration_since(self.watch.tried) >= self.poll()
    }

    fn poll(&self) -> SignedDuration {
        SignedDuration::try_from(self.settings.poll).unwrap_or(SignedDuration::MAX)
    }

    async fn look(&mut self) {
        let seen = look::whole(&self.subject, &*self.ports.balancer, &self.ports.clusters, &*self.ports.clock).await;
        let now = self.ports.clock.now();
        self.watch.absorb(now, seen, true);
        self.turn(now).await;
    }

    /// Tells the audience and leaves a sign of life.
    async fn turn(&mut self, now: Timestamp) {
        self.audience.turn(&self.state, &self.watch, &self.waits, now);
        let message = self.waits.first().map_or_else(|| format!("step {}", self.state.step), |w| w.message.clone());
        self.sign(now, true, message).await;
    }

    async fn sign(&self, at: Timestamp, watching: bool, message: String) {
        let Settings { owner, host, pid, .. } = self.settings.clone();
        let look = Look { owner, host, pid, at, watching, message };
        if let Err(error) = self.ports.store.put_look(&self.state.run, &look).await {
            tracing::warn!("no sign of life could be left: {error}");
        }
    }

    /// Journals, folds, tells. Only what moves on must be on disk first; all else is kept until the disk takes it.
    async fn journal(&mut self, event: Event) -> Result<(), EngineError> {
        let time = self.ports.clock.now();
        // Before it is on disk: a record that cannot be would make the whole journal senseless.
        self.state.check(&event)?;
        let first = matches!(event, Event::Intended { restore: false, .. } | Event::Claimed { .. }) && !self.restores;
        let record = if first { self.journal.write(time, &event).await? } else { self.journal.keep(time, event).await };
        self.state.apply(record.time, &record.event)?;
        match &record.event {
            // What was refused before is tried again.
            Event::Resumed { .. } | Event::RollbackStarted { .. } => {
                self.watch.refused.clear();
                self.executor.forgive();
            }
            Event::Finished { remarks, left, .. } => self.said = (remarks.clone(), left.clone()),
            _ => {}
        }
        self.audience.record(&record);
        Ok(())
    }

    async fn journal_all(&mut self, events: Vec<Event>) -> Result<(), EngineError> {
        for event in events {
            self.journal(event).await?;
        }
        Ok(())
    }

    /// Requests from other terminals. One that is not on disk as an event stays where it is, for whoever comes next.
    async fn hear(&mut self) -> Result<(), EngineError> {
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

    async fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        if !self.owned() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let chunk = self.executor.chunk(&batch.writes, now);
        if chunk.is_empty() {
            let until = self.executor.next(&batch.writes, now);
            self.note(vec![Wait { until: Some(until), ..self.delayed(&batch) }], now).await?;
            self.ports.clock.sleep(until.duration_since(now).unsigned_abs()).await;
            return Ok(());
        }
        let (events, prepared) = self.executor.prepare(&self.ports, chunk, &self.state, &self.watch).await;
        self.journal_all(events).await?;
        if prepared.is_empty() || self.stale(&batch.raises) {
            return Ok(());
        }
        let time = self.ports.clock.now();
        let wait = self.ports.clock.of_real(self.settings.deadline);
        let deadline = SignedDuration::try_from(wait).ok().and_then(|d| time.checked_add(d).ok()).unwrap_or(Timestamp::MAX);
        let writes = prepared.iter().map(|p| p.write.clone()).collect();
        if let Err(error) = self.journal(Event::Intended { restore: batch.restore, deadline, writes }).await {
            return self.unwritten(error, time).await;
        }
        let events = self.executor.send(&self.ports, &self.settings, prepared, &self.state).await;
        for event in events {
            self.remember_refusal(&event);
            self.journal(event).await?;
        }
        Ok(())
    }

    /// Why none of a batch can be written at the moment.
    fn delayed(&self, batch: &Batch) -> Wait {
        let unread = |w: &Write| self.watch.routes.get(&w.route).is_some_and(|r| r.value.is_err());
        let blind = decide::blind(&self.watch).filter(|_| batch.writes.iter().any(unread));
        blind.unwrap_or_else(|| Wait { reason: WaitReason::Rate, message: "the API's rate".into(), until: None })
    }

    /// Nothing is raised that the journal would not know of; the guard goes on, and so does the run once there is room.
    async fn unwritten(&mut self, error: EngineError, now: Timestamp) -> Result<(), EngineError> {
        let EngineError::Store(error) = error else { return Err(error) };
        self.note(vec![Wait { reason: WaitReason::Journal, message: format!("the journal cannot be written: {error}"), until: None }], now)
            .await?;
        self.rest(now).await;
        Ok(())
    }

    /// Whether a group that is to be raised was last seen too long ago; the next turn looks again.
    fn stale(&self, groups: &[String]) -> bool {
        let now = self.ports.clock.now();
        groups.iter().any(|g| self.watch.of(g).back().is_none_or(|s| now.duration_since(s.at) > self.watch.fresh()))
    }

    fn remember_refusal(&mut self, event: &Event) {
        if let Event::Outcome { route, detail: Some(why), .. } = event
            && self.executor.given_up().any(|id| id == route)
        {
            self.watch.refused.insert(route.clone(), why.clone());
        }
    }

    async fn bind(&mut self, bindings: Vec<BindingStart>) -> Result<(), EngineError> {
        let mut waits = Vec::new();
        for wanted in bindings {
            let binding = wanted.binding.full_name();
            let done = match self.ports.clusters.get(&wanted.cluster) {
                Some(cluster) => {
                    bind::bind(&**cluster, &wanted, self.state.started.clusters.get(&wanted.cluster).map(String::as_str)).await
                }
                None => Err(format!("no access to cluster {}", wanted.cluster)),
            };
            match done {
                Ok(result) => self.journal(Event::Bound { cluster: wanted.cluster, binding, result: result.into() }).await?,
                Err(message) => waits.push(Wait { reason: WaitReason::Binding, message, until: None }),
            }
        }
        if !waits.is_empty() {
            let now = self.ports.clock.now();
            self.note(waits, now).await?;
            self.rest(now).await;
        }
        Ok(())
    }

    /// Journals the waits when their reasons change, and the health when its counts do.
    async fn note(&mut self, waits: Vec<Wait>, now: Timestamp) -> Result<(), EngineError> {
        let changed =
            waits.len() != self.waits.len() || waits.iter().zip(&self.waits).any(|(a, b)| a.reason != b.reason || a.message != b.message);
        self.waits = waits;
        if changed && !self.waits.is_empty() {
            self.journal(Event::Waiting { waits: self.waits.clone() }).await?;
        }
        let counts: std::collections::BTreeMap<_, _> =
            self.watch.samples.iter().filter_map(|(g, s)| Some((g.clone(), s.back()?.counts))).collect();
        if counts != self.counts {
            self.counts.clone_from(&counts);
            self.journal(Event::Health { groups: counts }).await?;
        }
        self.audience.turn(&self.state, &self.watch, &self.waits, now);
        Ok(())
    }

    /// Until the next look, or the end of a wait; requests and `^C` are heard within a second.
    async fn rest(&mut self, now: Timestamp) {
        let look = self.watch.tried.checked_add(self.poll()).unwrap_or(Timestamp::MAX);
        let over = self.waits.iter().filter_map(|w| w.until).filter(|until| *until > now).min();
        let next = over.map_or(look, |over| over.min(look));
        let slice = Duration::from_secs(1).max(self.settings.poll / 5);
        let mut left = next.duration_since(now).try_into().unwrap_or(Duration::ZERO).max(Duration::from_millis(100));
        while !left.is_zero() && self.interrupt.raised().is_none() {
            let nap = left.min(slice);
            self.ports.clock.sleep(nap).await;
            left = left.saturating_sub(nap);
            if self.ports.store.requests(&self.state.run).await.is_ok_and(|r| r.iter().any(|(name, _)| !self.state.heard.contains(name))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
