//! Restores all routes of a rollback concurrently. Each route is written, read back, and written again if that failed.
//! No route waits for another route.
//!
//! Writes stay in progress across loop iterations. An iteration sends the writes that are possible, processes the
//! responses, and ends within a second, so that requests and other owners are noticed. The rate is unlimited until AWS
//! throttles; from then on it is the rate that AWS accepts ([`CallPace`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::removals::Removals;
use super::{CHUNK_SIZE, Executor, MAX_BLIND_AGE, PreparedWrite, may_be_stale, outcome, recent_content};
use crate::base::rate::Rate;
use crate::base::retry::{READ_BACK_SOON, RESTORE};
use crate::domain::run::event::{Event, Record, Write, WriteResult};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{RouteContent, RouteId, Unreadable};
use crate::engine::limit::CallPace;
use crate::engine::marker::{MarkerError, MarkerWrite};
use crate::engine::{Ports, Settings};
use crate::port::WriteError;
use crate::port::store::Store;

/// The maximum number of writes in progress: twice the burst that AWS accepts ([`Rate`]). Each write needs 64 kB of
/// buffers. More writes would not end earlier, because the next write is sent as soon as another write gets a response.
const MAX_PARALLEL: usize = 40;
/// The longest duration of one loop iteration.
const MAX_ITERATION_TIME: SignedDuration = SignedDuration::from_secs(1);
/// The time for which an accepted write is read back before its outcome is unknown.
const READ_BACK_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait before accepted writes are read back. They are read back earlier if all responses have arrived, but
/// some responses take until the deadline.
const ANSWER_WAIT: SignedDuration = SignedDuration::from_millis(250);

/// The result of a call in progress.
enum CallResult {
    Answer(Box<PreparedWrite>, Result<(), WriteError>),
    Read(Vec<(RouteId, Result<RouteContent, Unreadable>)>),
    Marked(Result<(), MarkerError>),
    Removals(Vec<(u32, Result<bool, WriteError>)>),
}

/// A write that was sent and must be read back.
struct PendingReadBack {
    prepared: Box<PreparedWrite>,
    /// The reason why the write got no response; `None` if AWS accepted the write.
    unanswered: Option<String>,
    since: Timestamp,
    /// The time of the next read.
    due: Timestamp,
    /// The number of reads so far.
    reads: u32,
}

/// The calls of a rollback that are in progress.
pub struct InFlight {
    pace: CallPace,
    calls: FuturesUnordered<BoxFuture<'static, CallResult>>,
    /// The routes with a write that got no response yet.
    sent: BTreeSet<RouteId>,
    read_backs: Vec<PendingReadBack>,
    reading: bool,
    removals: Removals,
    /// When AWS accepted the marker, while it is being put.
    marking: Option<watch::Receiver<Option<Timestamp>>>,
    /// When AWS accepted the marker that was put.
    marked_at: Option<Timestamp>,
}

/// The results of one loop iteration.
#[derive(Default)]
pub struct TurnResult {
    pub events: Vec<Event>,
    /// The result of putting the marker, if that ended in this iteration.
    pub marked: Option<Result<(), MarkerError>>,
}

impl InFlight {
    pub fn new(rate: Rate) -> Self {
        Self {
            pace: CallPace::of_restores(rate.per_second),
            calls: FuturesUnordered::new(),
            sent: BTreeSet::new(),
            read_backs: Vec::new(),
            reading: false,
            removals: Removals::default(),
            marking: None,
            marked_at: None,
        }
    }

    /// Returns whether a route's last write is still in progress.
    fn contains(&self, id: &RouteId) -> bool {
        self.sent.contains(id) || self.read_backs.iter().any(|c| c.prepared.write.route == *id)
    }

    /// Returns whether no call is in progress.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.read_backs.is_empty()
    }

    /// Returns the time of the next read, if a read is due and none is in progress.
    fn next_read(&self) -> Option<Timestamp> {
        let due = |c: &PendingReadBack| if self.sent.is_empty() { c.due } else { c.due.max(c.since + ANSWER_WAIT) };
        self.read_backs.iter().map(due).min().filter(|_| !self.reading)
    }

    /// Starts to put the marker, in parallel with the writes.
    pub fn put_marker(&mut self, marker: MarkerWrite) {
        self.marking = Some(marker.accepted);
        self.calls.push(marker.write.map(CallResult::Marked).boxed());
    }

    /// Waits until AWS has accepted the marker, but not until the marker is read back. Returns when AWS accepted the
    /// marker; `None` if it was not put. Returns at once if the marker is not being put.
    pub async fn wait_for_marker(&mut self) -> Option<Timestamp> {
        while let Some(mut accepted) = self.marking.clone() {
            tokio::select! {
                biased;
                result = self.calls.next() => match result {
                    Some(CallResult::Marked(result)) => self.record_marker(result.is_ok()),
                    Some(_) => {}
                    None => self.marking = None,
                },
                Ok(at) = accepted.wait_for(Option::is_some) => return *at,
            }
        }
        self.marked_at
    }

    fn record_marker(&mut self, put: bool) {
        self.marked_at = self.marking.take().and_then(|accepted| *accepted.borrow()).filter(|_| put);
    }

    /// Returns the restoring writes that may be sent now, in their order. Writes that need no read (`blind`) come
    /// first.
    pub fn ready_writes(
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
        let room = MAX_PARALLEL.saturating_sub(self.sent.len());
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

    /// Processes the responses that arrived, or waits for the next response. Returns at the end of the loop iteration,
    /// or when more writes may be sent (`more`).
    pub async fn collect_responses(
        &mut self,
        executor: &mut Executor,
        ports: &Ports,
        state: &State,
        more: Option<Timestamp>,
    ) -> TurnResult {
        let now = ports.clock.now();
        let end = more.map_or(now + MAX_ITERATION_TIME, |more| more.min(now + MAX_ITERATION_TIME));
        let full = self.sent.len() >= MAX_PARALLEL;
        let mut turn = TurnResult::default();
        loop {
            let now = ports.clock.now();
            self.start_read_back(ports, now);
            let until = self.next_read().map_or(end, |read| read.min(end));
            let left = until.duration_since(now).max(SignedDuration::from_millis(1)).unsigned_abs();
            let result = tokio::select! {
                biased;
                Some(result) = self.calls.next() => Some(result),
                () = ports.clock.sleep(left) => None,
            };
            let now = ports.clock.now();
            let arrived = result.is_some();
            self.process_result(executor, result, state, now, &mut turn);
            while let Some(Some(result)) = self.calls.next().now_or_never() {
                self.process_result(executor, Some(result), state, now, &mut turn);
            }
            self.start_read_back(ports, now);
            let has_result = !turn.events.is_empty() || turn.marked.is_some();
            if has_result || now >= end || (arrived && full) || self.is_idle() {
                // One more poll sends a read that was started above before this function returns.
                if let Some(Some(result)) = self.calls.next().now_or_never() {
                    self.process_result(executor, Some(result), state, now, &mut turn);
                }
                return turn;
            }
        }
    }

    /// Starts to read back the routes that are due.
    fn start_read_back(&mut self, ports: &Ports, now: Timestamp) {
        if self.next_read().is_none_or(|at| at > now) {
            return;
        }
        let ids: Vec<_> =
            self.read_backs.iter().filter(|c| c.due <= now).map(|c| c.prepared.write.route.clone()).collect();
        let traffic = Arc::clone(&ports.balancer.traffic);
        self.reading = true;
        self.calls.push(async move { CallResult::Read(traffic.routes(&ids).await.into_iter().collect()) }.boxed());
    }

    fn process_result(
        &mut self,
        executor: &mut Executor,
        result: Option<CallResult>,
        state: &State,
        now: Timestamp,
        turn: &mut TurnResult,
    ) {
        match result {
            Some(CallResult::Answer(prepared, answer)) => {
                turn.events.extend(self.process_response(executor, prepared, answer, now));
            }
            Some(CallResult::Read(live)) => {
                self.reading = false;
                for (id, read) in live {
                    turn.events.extend(self.process_read_back(executor, &id, read, state, now));
                }
            }
            Some(CallResult::Marked(result)) => {
                self.record_marker(result.is_ok());
                turn.marked = Some(result);
            }
            Some(CallResult::Removals(results)) => {
                turn.events.extend(self.removals.process(results, &mut self.pace, now));
            }
            None => {}
        }
    }

    /// Returns whether every write that was sent got its response.
    pub fn has_every_answer(&self) -> bool {
        self.sent.is_empty()
    }

    /// Returns how many of these header rules can be removed now.
    pub fn ready_removals(&self, rules: &[(u32, String)], now: Timestamp) -> usize {
        self.removals.ready(rules, now).count()
    }

    /// Starts to remove at most this many of these header rules, each as number and ARN, as far as the pace allows.
    pub fn launch_removals(&mut self, ports: &Ports, settings: &Settings, rules: &[(u32, String)], most: usize) {
        let now = ports.clock.now();
        let mut ready: Vec<_> = self.removals.ready(rules, now).take(most.min(CHUNK_SIZE)).cloned().collect();
        ready.truncate(self.pace.grant(ready.len(), now));
        if !ready.is_empty() {
            self.calls.push(self.removals.start(ports, settings.deadline, ready).map(CallResult::Removals).boxed());
        }
    }

    /// Returns the time when more of these header rules may be removed; `None` if all are in progress.
    pub fn next_removal_at(&self, numbers: &[u32], now: Timestamp) -> Option<Timestamp> {
        let first = self.removals.next(numbers, now)?;
        Some(first.max(self.pace.next()).max(now + SignedDuration::from_millis(10)))
    }

    fn process_response(
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
            // The write is sent again as soon as the pace allows, without a back-off for this route.
            Err(WriteError::Throttled) => {
                self.pace.record_throttled(now, now);
                return Some(outcome(
                    &prepared.write.route,
                    WriteResult::Failed,
                    None,
                    Some(WriteError::Throttled.to_string()),
                ));
            }
            Err(error) => {
                executor.back_off(&prepared.write.route, now, RESTORE);
                return Some(executor.record_rejection(&prepared.write.route, error));
            }
        };
        if unanswered.is_none() {
            self.pace.record_accepted();
        }
        self.read_backs.push(PendingReadBack { prepared, unanswered, since: now, due: now, reads: 0 });
        None
    }

    /// Returns the outcome of a write after its read-back. Returns `None` if the route must be read again or if the run
    /// already has the outcome.
    fn process_read_back(
        &mut self,
        executor: &mut Executor,
        id: &RouteId,
        read: Result<RouteContent, Unreadable>,
        state: &State,
        now: Timestamp,
    ) -> Option<Event> {
        let at = self.read_backs.iter().position(|c| c.prepared.write.route == *id)?;
        let mut check = self.read_backs.swap_remove(at);
        let live_split = read.as_ref().ok().and_then(RouteContent::forward_split);
        let PreparedWrite { before, write, .. } = &*check.prepared;
        let open = live_split.is_some_and(|f| {
            (f.equivalent(before) && !before.equivalent(&write.set)) || may_be_stale(state, id, f, now)
        });
        // A write without a response is sent again soon, because it may never have reached AWS.
        let last = now.duration_since(check.since) >= READ_BACK_TIMEOUT || (open && check.unanswered.is_some());
        let event =
            executor.judge_read_back(&check.prepared, check.unanswered.as_deref(), Some(read), (now, last), state);
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

    /// Returns the time when more of these writes may be sent; `None` if all are in progress.
    pub fn next_send_at(&self, executor: &Executor, writes: &[Write], now: Timestamp) -> Option<Timestamp> {
        let left = writes.iter().filter(|w| !self.contains(&w.route));
        let first = left.map(|w| executor.backoffs.get(&w.route).map_or(now, |(_, at)| *at)).min()?;
        Some(first.max(self.pace.next()).max(now + SignedDuration::from_millis(10)))
    }
}

/// Prepares a write without a read before it. Requires that the route was read as journalled less than a minute ago: by
/// this process, or at `verified_at` by the previous process. Returns `None` if the route was not read so recently, or
/// if the write seems unnecessary, because only a read can confirm this. Also returns `None` for a stage of a rollback,
/// which is not urgent.
pub fn prepare_blind_write(
    state: &State,
    watch: &Observed,
    verified_at: Option<Timestamp>,
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
    let before = verified_at.is_some_and(|at| now.duration_since(at) < MAX_BLIND_AGE) && !watch.routes.contains_key(id);
    let content = if before { route.confirmed.clone() } else { recent_content(state, watch, id, now)? };
    Some(PreparedWrite { before: route.split().clone(), content: content.with_split(&write.set), write: write.clone() })
}

/// Returns the time when the previous process last read every route as journalled, if that is less than a minute ago.
/// Returns `None` if the journal has a route whose original groups had no healthy target, because these groups must be
/// read again first.
pub async fn last_seen_intact(
    store: &dyn Store,
    records: &[Record],
    state: &State,
    now: Timestamp,
) -> Option<Timestamp> {
    let verified_at = store
        .heartbeat(&state.run)
        .await?
        .verified_at
        .filter(|at| now.duration_since(*at) < MAX_BLIND_AGE && *at <= now)?;
    let mut health = BTreeMap::new();
    for record in records {
        if let Event::Health { groups } = &record.event {
            health.extend(groups);
        }
    }
    let has_no_healthy_target = |arn: &str| health.get(&arn.to_owned()).is_some_and(|c| c.healthy == 0);
    let has_only_unhealthy_groups = |route: &Route| {
        !state.groups_after_rollback(route).is_empty()
            && state.groups_after_rollback(route).into_iter().all(has_no_healthy_target)
    };
    (!state.routes.values().any(has_only_unhealthy_groups)).then_some(verified_at)
}
