//! Carries out decisions: writes a chunk of a batch, and creates or deletes TargetGroupBindings.

use std::time::Duration;

use jiff::Timestamp;

use super::RunLoop;
use crate::base::rate::WRITE_RATE;
use crate::domain::decide::{self, Batch, ChunkVerdict, Context};
use crate::domain::run::event::{BindingStart, Event, Wait, WaitReason, Write, WriteResult};
use crate::domain::run::observation::Observation;
use crate::domain::traffic::RouteId;
use crate::engine::binding_list::BindingLists;
use crate::engine::write::{PreparedWrite, is_large};
use crate::engine::{EngineError, bind, observation};

/// The time between two checks for operator requests while a batch waits for calls.
const REQUEST_INTERVAL: Duration = Duration::from_millis(350);

impl RunLoop<'_> {
    pub(super) async fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        if !self.check_ownership() {
            return Ok(());
        }
        let chunk = self.executor.next_chunk(&batch.writes, self.ports.clock.now());
        if chunk.is_empty() {
            return self.wait_for_calls(&batch).await;
        }
        let (events, prepared) = self.executor.prepare(&self.ports, chunk, &self.state, &mut self.watch).await;
        // After drift of one route, no share of any route is raised.
        let foreign = events.iter().any(|e| matches!(e, Event::Drifted { .. }));
        let deleted = events.iter().any(|e| matches!(e, Event::Outcome { result: WriteResult::Deleted, .. }));
        self.journal_all(events).await?;
        if deleted {
            // The freeze that follows names the rule that replaces the deleted rule, if such a rule exists.
            self.rules_counted_at = None;
            self.observe().await;
            return Ok(());
        }
        if foreign || prepared.is_empty() || !self.marker_is_current().await {
            return Ok(());
        }
        let prepared = self.writes_cleared_by_gates(&batch, prepared).await?;
        if prepared.is_empty() {
            return Ok(());
        }
        let (time, deadline) = (self.ports.clock.now(), self.deadline());
        let writes: Vec<_> = prepared.iter().map(|p| p.write.clone()).collect();
        let raises = decide::groups_to_read(&self.state, &batch, &writes);
        if let Err(error) = self.journal(Event::Intended { restore: false, deadline, writes }).await {
            return self.wait_for_journal(error, time).await;
        }
        if !self.lock_confirmed(&raises).await {
            for p in prepared {
                self.journal(not_sent(p.write.route)).await?;
            }
            return Ok(());
        }
        let events = self.executor.send(&self.ports, &self.settings, prepared, &self.state).await;
        let is_done =
            |e: &Event| matches!(e, Event::Outcome { result: WriteResult::Applied | WriteResult::Already, .. });
        // If the next chunk cannot be sent yet, another decision would only lead to this wait.
        let waits = is_large(&batch.writes) && events.iter().all(is_done);
        for event in events {
            self.remember_refusal(&event);
            self.journal(event).await?;
        }
        let waits = waits && !self.executor.has_calls(&batch.writes, self.ports.clock.now());
        if waits { self.wait_for_calls(&batch).await } else { Ok(()) }
    }

    /// Waits until the next chunk of a batch may be sent.
    async fn wait_for_calls(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        let until = self.executor.next_write_at(&batch.writes, now);
        self.journal_waits(vec![Wait { until: Some(until), ..self.write_wait(batch) }], now).await?;
        // Requests are carried out within a second, also in the middle of a batch.
        let mut left = until.duration_since(now).unsigned_abs();
        while !left.is_zero() && self.interrupt.requested().is_none() {
            let pause = left.min(REQUEST_INTERVAL);
            self.ports.clock.sleep(pause).await;
            left -= pause;
            if !left.is_zero() && self.has_new_requests().await {
                break;
            }
        }
        Ok(())
    }

    /// Returns the writes of a chunk whose raise gates pass on fresh readings. Journals why the other writes stay in
    /// the batch.
    async fn writes_cleared_by_gates(
        &mut self,
        batch: &Batch,
        mut prepared: Vec<PreparedWrite>,
    ) -> Result<Vec<PreparedWrite>, EngineError> {
        let writes: Vec<_> = prepared.iter().map(|p| p.write.clone()).collect();
        let mut unread = decide::groups_to_read(&self.state, batch, &writes);
        unread.retain(|group| self.is_stale(group));
        if !unread.is_empty() {
            let seen = observation::observe_health(&unread, &*self.ports.balancer.traffic, &*self.ports.clock).await;
            self.watch.add(self.ports.clock.now(), seen, false);
        }
        let now = self.ports.clock.now();
        let context = Context { plan: self.plan, state: &self.state, observed: &self.watch, now };
        let ChunkVerdict { waiting_routes: held, waits } = decide::judge_chunk(&context, batch, &writes);
        if !held.is_empty() {
            prepared.retain(|p| !held.contains(&p.write.route));
            self.journal_waits(waits, now).await?;
        }
        Ok(prepared)
    }

    /// Returns whether the marker belongs to this run. Reads the marker again if the last reading is too old because
    /// other reads took long.
    pub(super) async fn marker_is_current(&mut self) -> bool {
        if !self.watch.marker_stale(self.ports.clock.now()) {
            return true; // `decide` has used this reading
        }
        let Some(marker) =
            observation::observe_marker(&self.watch_list, &*self.ports.balancer.tags, &*self.ports.clock).await
        else {
            return true;
        };
        self.watch.add(self.ports.clock.now(), Observation { marker: Some(marker), ..Observation::default() }, false);
        self.watch.marker_is_ours()
    }

    /// Returns whether the store confirms that this process keeps the lock for as long as a write may take, and the
    /// readings are still fresh. Restoring writes do not need this.
    pub(super) async fn lock_confirmed(&mut self, raises: &[String]) -> bool {
        let ours = self.locks.confirm().await;
        self.check_ownership()
            && ours
            && self.watch.lock_warning.is_none()
            && !raises.iter().any(|group| self.is_stale(group))
    }

    /// Returns why no write of a batch can be sent at the moment.
    pub(super) fn write_wait(&self, batch: &Batch) -> Wait {
        let unread = |w: &Write| self.watch.routes.get(&w.route).is_some_and(|r| r.value.is_err());
        let blind = decide::unreadable_wait(&self.state, &self.watch).filter(|_| batch.writes.iter().any(unread));
        blind.unwrap_or_else(|| Wait {
            reason: WaitReason::Rate,
            message: format!("limited to {} writes a second", WRITE_RATE.per_second),
            until: None,
        })
    }

    /// Waits because the journal cannot be written. No raise is sent without its intent on disk. The guard stays on,
    /// and the run continues when the journal can be written again.
    pub(super) async fn wait_for_journal(&mut self, error: EngineError, now: Timestamp) -> Result<(), EngineError> {
        let EngineError::Store(error) = error else { return Err(error) };
        self.journal_waits(
            vec![Wait {
                reason: WaitReason::Journal,
                message: format!("the journal cannot be written: {error}"),
                until: None,
            }],
            now,
        )
        .await?;
        self.sleep_until_due(now).await;
        Ok(())
    }

    /// Returns whether the last health reading of a group is too old to raise the group's share.
    fn is_stale(&self, group: &str) -> bool {
        let now = self.ports.clock.now();
        self.watch.samples_of(group).back().is_none_or(|s| now.duration_since(s.at) > self.watch.max_sample_age())
    }

    pub(super) fn remember_refusal(&mut self, event: &Event) {
        if let Event::Outcome { route, detail: Some(why), .. } = event
            && self.executor.refused_routes().any(|id| id == route)
        {
            self.watch.rejected_writes.insert(route.clone(), why.clone());
        }
    }

    pub(super) async fn bind(&mut self, bindings: Vec<BindingStart>) -> Result<(), EngineError> {
        let (clusters, clock) = (self.ports.clusters.clone(), self.ports.clock.clone());
        let (mut waits, mut lists) = (Vec::new(), BindingLists::new(&clusters, &*clock));
        for (done, wanted) in bindings.into_iter().enumerate() {
            // The guard must not wait for a thousand bindings. The next decision continues with the other bindings.
            if done > 0 && waits.is_empty() && self.observation_due(clock.now()) {
                break;
            }
            let binding = wanted.binding.full_name();
            match bind::bind(&mut lists, &wanted, &self.state.started.clusters).await {
                Ok(result) => self.journal(Event::BindingDone { cluster: wanted.cluster, binding, result }).await?,
                Err(message) => waits.push(Wait { reason: WaitReason::Binding, message, until: None }),
            }
        }
        self.watch.binding_waits = waits;
        Ok(())
    }

    pub(super) async fn unbind(&mut self, bindings: Vec<BindingStart>) -> Result<(), EngineError> {
        if !self.check_ownership() {
            return Ok(());
        }
        let (clusters, clock) = (self.ports.clusters.clone(), self.ports.clock.clone());
        let (mut waits, mut lists) = (Vec::new(), BindingLists::new(&clusters, &*clock));
        for wanted in bindings {
            let binding = wanted.binding.full_name();
            match bind::unbind(&mut lists, &wanted, &self.state.started.clusters).await {
                Ok(why) => {
                    let (gone, why) = (why.is_none(), why.unwrap_or_default());
                    self.journal(Event::BindingRemoved { cluster: wanted.cluster, binding, deleted: gone, why })
                        .await?;
                }
                Err(message) => waits.push(Wait { reason: WaitReason::Binding, message, until: None }),
            }
        }
        self.watch.binding_waits = waits;
        Ok(())
    }
}

/// Returns the outcome of a write whose intent is in the journal but that was not sent.
fn not_sent(route: RouteId) -> Event {
    let detail = Some("not sent: the lock or the health readings expired before the write".to_owned());
    Event::Outcome { route, result: WriteResult::Failed, live: None, detail }
}
