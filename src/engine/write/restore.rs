//! The executor of a rollback: restores all routes concurrently. Each route is written, read back, and written again if
//! that failed. No route waits for another one.
//!
//! Writes stay under way across turns: a turn sends the writes that are possible, processes the answers, and ends within
//! a second, so that requests and other owners are noticed. The rate is unlimited until AWS throttles; from then on it
//! is AWS's own rate ([`Pace`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::{Executor, MAX_BLIND_AGE, PreparedWrite, may_be_stale, outcome, recent_content};
use crate::base::rate::Rate;
use crate::base::retry::{READ_BACK_SOON, RESTORE};
use crate::domain::decide::groups_after_rollback;
use crate::domain::run::event::{Event, Record, Write, WriteResult};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{RouteContent, RouteId, Unreadable};
use crate::engine::limit::RestorePace;
use crate::engine::marker::MarkerError;
use crate::engine::{Ports, Settings};
use crate::port::WriteError;
use crate::port::store::Store;

/// Writes under way at the same time: twice the burst that AWS accepts ([`Rate`]). Each needs 64 kB of buffers, and
/// more of them would not end earlier: the next is sent as soon as one is answered.
const PARALLEL: usize = 40;
/// The longest duration of a turn.
const TURN: SignedDuration = SignedDuration::from_secs(1);
/// How long an accepted write is read back until its outcome is unknown.
const READ_BACK_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);
/// Accepted writes are read back once all answers have arrived, but at the latest after this time: some answers take
/// until their deadline.
const ANSWER_WAIT: SignedDuration = SignedDuration::from_millis(250);

/// The answer to a call.
enum CallResult {
    Answer(Box<PreparedWrite>, Result<(), WriteError>),
    Read(Vec<(RouteId, Result<RouteContent, Unreadable>)>),
    Marked(Result<(), MarkerError>),
}

/// A write that was sent and must be read back.
struct PendingReadBack {
    prepared: Box<PreparedWrite>,
    /// Why it was not answered; `None`: it was accepted.
    unanswered: Option<String>,
    since: Timestamp,
    /// When the next read is due.
    due: Timestamp,
    /// Reads so far.
    reads: u32,
}

/// The calls of a rollback that are under way.
pub struct InFlight {
    pace: RestorePace,
    calls: FuturesUnordered<BoxFuture<'static, CallResult>>,
    /// Routes with a write that is not answered yet.
    sent: BTreeSet<RouteId>,
    read_backs: Vec<PendingReadBack>,
    reading: bool,
    marking: bool,
}

/// What happened in a turn.
#[derive(Default)]
pub struct TurnResult {
    pub events: Vec<Event>,
    /// The result of putting the marker, if it ended in this turn.
    pub marked: Option<Result<(), MarkerError>>,
}

impl InFlight {
    pub fn new(rate: Rate) -> Self {
        let landing = FuturesUnordered::new();
        Self {
            pace: RestorePace::new(rate.per_second),
            calls: landing,
            sent: BTreeSet::new(),
            read_backs: Vec::new(),
            reading: false,
            marking: false,
        }
    }

    /// Whether a route's last write is still under way.
    fn contains(&self, id: &RouteId) -> bool {
        self.sent.contains(id) || self.read_backs.iter().any(|c| c.prepared.write.route == *id)
    }

    /// Whether nothing is under way.
    pub fn idle(&self) -> bool {
        self.calls.is_empty() && self.read_backs.is_empty()
    }

    /// When the next read starts, if one is due and none is under way.
    fn next_read(&self) -> Option<Timestamp> {
        let due = |c: &PendingReadBack| if self.sent.is_empty() { c.due } else { c.due.max(c.since + ANSWER_WAIT) };
        self.read_backs.iter().map(due).min().filter(|_| !self.reading)
    }

    /// Puts the marker at the same time.
    pub fn put_marker(&mut self, marking: BoxFuture<'static, Result<(), MarkerError>>) {
        self.marking = true;
        self.calls.push(marking.map(CallResult::Marked).boxed());
    }

    /// Waits until the marker is put, if that is under way.
    pub async fn wait_for_marker(&mut self) {
        while self.marking {
            match self.calls.next().await {
                Some(CallResult::Marked(_)) | None => self.marking = false,
                Some(_) => {}
            }
        }
    }

    /// The restoring writes that may be sent now, in their order. Writes that need no read (`blind`) come first.
    pub fn ready(
        &mut self,
        executor: &Executor,
        writes: &[Write],
        now: Timestamp,
        blind: impl Fn(&Write) -> bool,
    ) -> Vec<Write> {
        let due =
            |w: &&Write| !self.contains(&w.route) && executor.backoffs.get(&w.route).is_none_or(|(_, at)| *at <= now);
        let mut all: Vec<_> = writes.iter().filter(due).collect();
        if all.iter().any(|w| blind(w)) {
            all.retain(|w| blind(w));
        }
        let room = PARALLEL.saturating_sub(self.sent.len());
        let granted = self.pace.grant(all.len().min(room), now);
        all.into_iter().take(granted).cloned().collect()
    }

    /// Starts to send the writes.
    pub fn launch(&mut self, ports: &Ports, settings: &Settings, prepared: Vec<PreparedWrite>) {
        for prepared in prepared {
            self.sent.insert(prepared.write.route.clone());
            let (traffic, deadline) = (Arc::clone(&ports.balancer.traffic), settings.deadline);
            let sent = async move {
                let answer = traffic.set(&prepared.write.route, &prepared.content, deadline).await;
                CallResult::Answer(Box::new(prepared), answer)
            };
            self.calls.push(sent.boxed());
        }
    }

    /// Processes the answers that arrived, or waits for the next one, until the end of the turn or until more writes
    /// may be sent (`more`).
    pub async fn land(
        &mut self,
        executor: &mut Executor,
        ports: &Ports,
        state: &State,
        more: Option<Timestamp>,
    ) -> TurnResult {
        let now = ports.clock.now();
        let end = more.map_or(now + TURN, |more| more.min(now + TURN));
        let full = self.sent.len() >= PARALLEL;
        let mut turn = TurnResult::default();
        loop {
            let now = ports.clock.now();
            self.read(ports, now);
            let until = self.next_read().map_or(end, |read| read.min(end));
            let left = until.duration_since(now).max(SignedDuration::from_millis(1)).unsigned_abs();
            let landed = tokio::select! {
                biased;
                Some(landed) = self.calls.next() => Some(landed),
                () = ports.clock.sleep(left) => None,
            };
            let now = ports.clock.now();
            let came = landed.is_some();
            self.take(executor, landed, state, now, &mut turn);
            while let Some(Some(landed)) = self.calls.next().now_or_never() {
                self.take(executor, Some(landed), state, now, &mut turn);
            }
            self.read(ports, now);
            let said = !turn.events.is_empty() || turn.marked.is_some();
            if said || now >= end || (came && full) || self.idle() {
                // Polls once more, so that a read that was started above is sent before this returns.
                if let Some(Some(landed)) = self.calls.next().now_or_never() {
                    self.take(executor, Some(landed), state, now, &mut turn);
                }
                return turn;
            }
        }
    }

    /// Starts to read back the writes that are due.
    fn read(&mut self, ports: &Ports, now: Timestamp) {
        if self.next_read().is_none_or(|at| at > now) {
            return;
        }
        let ids: Vec<_> =
            self.read_backs.iter().filter(|c| c.due <= now).map(|c| c.prepared.write.route.clone()).collect();
        let traffic = Arc::clone(&ports.balancer.traffic);
        self.reading = true;
        self.calls.push(async move { CallResult::Read(traffic.routes(&ids).await.into_iter().collect()) }.boxed());
    }

    fn take(
        &mut self,
        executor: &mut Executor,
        landed: Option<CallResult>,
        state: &State,
        now: Timestamp,
        turn: &mut TurnResult,
    ) {
        match landed {
            Some(CallResult::Answer(prepared, answer)) => {
                turn.events.extend(self.answered(executor, prepared, answer, now));
            }
            Some(CallResult::Read(live)) => {
                self.reading = false;
                for (id, read) in live {
                    turn.events.extend(self.checked(executor, &id, read, state, now));
                }
            }
            Some(CallResult::Marked(result)) => {
                self.marking = false;
                turn.marked = Some(result);
            }
            None => {}
        }
    }

    fn answered(
        &mut self,
        executor: &mut Executor,
        prepared: Box<PreparedWrite>,
        answer: Result<(), WriteError>,
        now: Timestamp,
    ) -> Option<Event> {
        self.sent.remove(&prepared.write.route);
        let unanswered = match answer {
            Ok(()) => None,
            Err(WriteError::Unanswered(why)) => Some(why),
            // It is sent again as soon as the pace allows, without a back-off for this route.
            Err(WriteError::Throttled) => {
                self.pace.throttled(now);
                return Some(outcome(
                    &prepared.write.route,
                    WriteResult::Failed,
                    None,
                    Some(WriteError::Throttled.to_string()),
                ));
            }
            Err(error) => {
                executor.back_off(&prepared.write.route, now, RESTORE);
                return Some(executor.rejected(&prepared.write.route, error));
            }
        };
        if unanswered.is_none() {
            self.pace.accepted();
        }
        self.read_backs.push(PendingReadBack { prepared, unanswered, since: now, due: now, reads: 0 });
        None
    }

    /// The outcome of a write by its read-back; `None` if it must be read again or if the run already has the outcome.
    fn checked(
        &mut self,
        executor: &mut Executor,
        id: &RouteId,
        read: Result<RouteContent, Unreadable>,
        state: &State,
        now: Timestamp,
    ) -> Option<Event> {
        let at = self.read_backs.iter().position(|c| c.prepared.write.route == *id)?;
        let mut check = self.read_backs.swap_remove(at);
        let there = read.as_ref().ok().and_then(RouteContent::forward_split);
        let PreparedWrite { before, write, .. } = &*check.prepared;
        let open = there.is_some_and(|f| {
            (f.equivalent(before) && !before.equivalent(&write.set)) || may_be_stale(state, id, f, now)
        });
        // A write without an answer is sent again soon: it may never have reached AWS.
        let last = now.duration_since(check.since) >= READ_BACK_TIMEOUT || (open && check.unanswered.is_some());
        let event = executor.verdict(&check.prepared, check.unanswered.as_deref(), Some(read), (now, last), state);
        let Some(event) = event else {
            check.reads += 1;
            check.due = now + READ_BACK_SOON.after(check.reads);
            self.read_backs.push(check);
            return None;
        };
        if matches!(event, Event::Outcome { result: WriteResult::Unknown, .. }) {
            executor.back_off(id, now, RESTORE);
        }
        state.routes.get(id).is_some_and(|r| r.open_writes.is_some()).then_some(event)
    }

    /// When more of these writes may be sent; `None`: all are under way.
    pub fn again(&self, executor: &Executor, writes: &[Write], now: Timestamp) -> Option<Timestamp> {
        let left = writes.iter().filter(|w| !self.contains(&w.route));
        let first = left.map(|w| executor.backoffs.get(&w.route).map_or(now, |(_, at)| *at)).min()?;
        Some(first.max(self.pace.next()).max(now + SignedDuration::from_millis(10)))
    }
}

/// Prepares a write without a read before it, because its route was seen as the journal says less than a minute ago: by
/// this process, or at `seen` by the previous one. `None` if that is not the case, or if the write would change
/// nothing: then a read must show that. `None` also for a stage, which is not urgent.
pub fn prepare_blind_write(
    state: &State,
    watch: &Observed,
    seen: Option<Timestamp>,
    write: &Write,
    now: Timestamp,
) -> Option<PreparedWrite> {
    if state.rollback.as_ref().is_some_and(|r| r.unfinished_stage().is_some()) {
        return None;
    }
    let id = &write.route;
    let route = state
        .routes
        .get(id)
        .filter(|r| r.open_writes.is_none() && r.drift.is_none() && !r.split().equivalent(&write.set))?;
    let before = seen.is_some_and(|at| now.duration_since(at) < MAX_BLIND_AGE) && !watch.routes.contains_key(id);
    let content = if before { route.confirmed.clone() } else { recent_content(state, watch, id, now)? };
    Some(PreparedWrite { before: route.split().clone(), content: content.with_split(&write.set), write: write.clone() })
}

/// When the previous process last saw every route as the journal says, if that is less than a minute ago. `None` also
/// if the journal has a route whose original groups had no healthy target: then they must be read again first.
pub async fn last_seen_intact(
    store: &dyn Store,
    records: &[Record],
    state: &State,
    now: Timestamp,
) -> Option<Timestamp> {
    let seen = store
        .heartbeat(&state.run)
        .await?
        .verified_at
        .filter(|at| now.duration_since(*at) < MAX_BLIND_AGE && *at <= now)?;
    let health =
        records.iter().rev().find_map(|r| if let Event::Health { groups } = &r.event { Some(groups) } else { None });
    let dead = |arn: &str| health.is_some_and(|groups| groups.get(arn).is_some_and(|c| c.healthy == 0));
    let lost = |route: &Route| {
        !groups_after_rollback(state, route).is_empty() && groups_after_rollback(state, route).into_iter().all(dead)
    };
    (!state.routes.values().any(lost)).then_some(seen)
}
