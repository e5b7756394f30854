//! Writes a chunk of a batch and returns the outcome of each route. Handles concurrency, rate, back-off and repeated
//! reads. Do not add decisions: the batch says what to write.

use std::collections::BTreeMap;

use futures::stream::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::limit::TokenBucket;
use super::{Ports, Settings};
use crate::base::retry::{self, RetrySchedule};
use crate::domain::decide::desired_split;
use crate::domain::run::event::{Event, Write, WriteResult};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Rollback, Route, State};
use crate::domain::traffic::{Reading, RouteContent, RouteId, Split, Unreadable};
use crate::port::WriteError;

mod removals;
pub mod restore;

/// The maximum number of writes at the same time.
const MAX_PARALLEL: usize = 10;
/// The number of routes in one loop iteration: one page of a read by ARN.
const CHUNK_SIZE: usize = 20;
/// The number of writes from which a batch is large.
const LARGE_BATCH: usize = 50;
/// The minimum number of writes in a chunk of a large batch: the calls of a second.
const LARGE_BATCH_CHUNK: usize = 3;
/// The maximum age of the observation for a blind write (a write without a read before it).
const MAX_BLIND_AGE: SignedDuration = SignedDuration::from_mins(1);
/// The calls that writes of larger shares always leave in the bucket, so that a rollback can start at once, even right
/// after such a write.
const RESERVED_CALLS: f64 = 8.0;
/// The number of refusals in a row after which a route counts as refused.
pub const MAX_REFUSALS: u32 = 3;

/// A write that is ready to be sent.
pub struct PreparedWrite {
    pub write: Write,
    /// The split before the write. A read-back may still return it.
    before: Split,
    /// The new content of the route, complete.
    content: RouteContent,
}

/// The state of the executor between loop iterations.
pub struct Executor {
    bucket: TokenBucket,
    /// The number of failed writes in a row, and the time of the next try, by route.
    backoffs: BTreeMap<RouteId, (u32, Timestamp)>,
    refusals: BTreeMap<RouteId, u32>,
}

impl Executor {
    /// Creates an executor with a full bucket.
    pub fn new(settings: &Settings, now: Timestamp) -> Self {
        Self { bucket: TokenBucket::new(settings.modify, now), backoffs: BTreeMap::new(), refusals: BTreeMap::new() }
    }

    /// Returns the writes of a batch that may be sent now. Limits them by the rate, and omits writes that wait after a
    /// failure.
    pub fn next_chunk(&mut self, writes: &[Write], now: Timestamp) -> Vec<Write> {
        let ready: Vec<_> = writes
            .iter()
            .filter(|w| self.backoffs.get(&w.route).is_none_or(|(_, at)| *at <= now))
            .take(CHUNK_SIZE)
            .cloned()
            .collect();
        if !self.allows(smallest_chunk(writes).min(ready.len()), now) {
            return Vec::new();
        }
        let granted = self.bucket.take_with_reserve(RESERVED_CALLS, ready.len(), now);
        ready.into_iter().take(granted).collect()
    }

    /// Takes up to this many calls that are not writes of a batch, and leaves the reserve of a rollback.
    pub fn grant(&mut self, wanted: usize, now: Timestamp) -> usize {
        self.bucket.take_with_reserve(RESERVED_CALLS, wanted, now)
    }

    /// Empties the bucket after AWS throttled a call.
    pub fn drain(&mut self) {
        self.bucket.drain();
    }

    /// Returns whether the bucket allows the smallest chunk of a batch now.
    pub fn has_calls(&self, writes: &[Write], now: Timestamp) -> bool {
        self.allows(smallest_chunk(writes), now)
    }

    fn allows(&self, calls: usize, now: Timestamp) -> bool {
        self.bucket.available_at(RESERVED_CALLS, calls, now) <= now
    }

    /// Returns the time when the next write of a batch may be sent.
    pub fn next_write_at(&self, writes: &[Write], now: Timestamp) -> Timestamp {
        let mut soon = now + SignedDuration::from_millis(350);
        if is_large(writes) {
            soon = soon.max(self.bucket.available_at(RESERVED_CALLS, smallest_chunk(writes), now));
        }
        let times = writes.iter().map(|w| self.backoffs.get(&w.route).map_or(soon, |(_, at)| *at));
        times.min().unwrap_or(soon).max(soon)
    }

    /// Reads the routes and compares them with the expected content. Returns outcomes for routes that need no write,
    /// and the writes for the other routes. Stores the new readings in `watch`, so that an older reading does not
    /// contradict them.
    pub async fn prepare(
        &mut self,
        ports: &Ports,
        chunk: Vec<Write>,
        state: &State,
        watch: &mut Observed,
    ) -> (Vec<Event>, Vec<PreparedWrite>) {
        let ids: Vec<_> = chunk.iter().map(|w| w.route.clone()).collect();
        let at = ports.clock.now();
        let mut live = ports.balancer.traffic.routes(&ids).await;
        let now = ports.clock.now();
        let seen = live.iter().filter(|(_, read)| read.is_ok());
        watch.routes.extend(seen.map(|(id, read)| (id.clone(), Reading { at, value: read.clone() })));
        let (mut events, mut prepared) = (Vec::new(), Vec::new());
        for write in chunk {
            let read = live
                .remove(&write.route)
                .unwrap_or_else(|| Err(Unreadable::Unavailable("AWS returned no result for this route".into())));
            match self.compare_with_live(write, read, state, watch, now) {
                Ok(ready) => {
                    events.extend(overwrite_events(state, &ready));
                    prepared.push(ready);
                }
                Err(event) => events.extend(event),
            }
        }
        (events, prepared)
    }

    fn compare_with_live(
        &mut self,
        write: Write,
        read: Result<RouteContent, Unreadable>,
        state: &State,
        watch: &Observed,
        now: Timestamp,
    ) -> Result<PreparedWrite, Option<Event>> {
        let restore = write.expect.is_none();
        let unread = read.as_ref().err().map(ToString::to_string);
        let live = match read {
            Ok(live) => live,
            Err(Unreadable::NotFound(_)) => {
                return Err(Some(outcome(
                    &write.route,
                    WriteResult::Deleted,
                    None,
                    Some("AWS does not find the route".into()),
                )));
            }
            Err(why) => {
                let Some(live) = recent_content(state, watch, &write.route, now).filter(|_| restore) else {
                    self.back_off(&write.route, now, retry::WRITE);
                    return Err(Some(outcome(
                        &write.route,
                        WriteResult::Unreadable,
                        None,
                        Some(format!("not written, because the route cannot be read: {why}")),
                    )));
                };
                live
            }
        };
        let Some(before) = live.forward_split().cloned() else {
            return Err(Some(drifted(state, &write.route, live)));
        };
        // A stale read may show the split before this run's last write, and a rollback wants to write that split. So
        // the route is written even if it already seems to have the wanted split.
        let outdated = may_be_stale(state, &write.route, &before, now);
        if before.equivalent(&write.set) && !outdated {
            // The last observation shows the wanted split, but an observation does not count as a read-back.
            if let Some(why) = unread {
                self.back_off(&write.route, now, retry::WRITE);
                let why = format!("the route cannot be read: {why}");
                return Err(Some(outcome(&write.route, WriteResult::Unreadable, None, Some(why))));
            }
            return Err(Some(outcome(&write.route, WriteResult::Already, Some(before), None)));
        }
        let is_unchanged_beside_split = |route: &Route| live.equivalent_except_split(route.expected());
        if write.expect.as_ref().is_some_and(|expect| {
            !before.equivalent(expect) || !state.routes.get(&write.route).is_none_or(is_unchanged_beside_split)
        }) {
            if outdated {
                self.back_off(&write.route, now, retry::WRITE);
                let why = "the read content may be older than the last write".to_owned();
                return Err(Some(outcome(&write.route, WriteResult::Unreadable, None, Some(why))));
            }
            return Err(Some(drifted(state, &write.route, live)));
        }
        // An automatic rollback never overwrites a change by another actor. A stage of a rollback was computed without
        // this change. The stage is computed again, because it must not undo what the other actor restored.
        let must_compute_again = |rollback: &Rollback| {
            let drift = || state.routes.get(&write.route).and_then(Route::drifted_content);
            rollback.automatic
                || (rollback.unfinished_stage().is_some() && drift().is_none_or(|c| !c.equivalent(&live)))
        };
        if restore
            && state.rollback.as_ref().is_some_and(must_compute_again)
            && is_foreign(state, &write.route, &before)
        {
            return Err(Some(drifted(state, &write.route, live)));
        }
        let content = live.with_split(&write.set);
        Ok(PreparedWrite { write, before, content })
    }

    /// Sends the writes and reads each route back until its content is as written, or has drifted, or the time is up.
    pub async fn send(
        &mut self,
        ports: &Ports,
        settings: &Settings,
        prepared: Vec<PreparedWrite>,
        state: &State,
    ) -> Vec<Event> {
        let sent: Vec<_> = futures::stream::iter(prepared)
            .map(async |p| {
                let answer = ports.balancer.traffic.set(&p.write.route, &p.content, settings.deadline).await;
                (p, answer)
            })
            .buffer_unordered(MAX_PARALLEL)
            .collect()
            .await;
        let mut events = Vec::new();
        let mut open = Vec::new();
        for (prepared, answer) in sent {
            match answer {
                Ok(()) => open.push((prepared, None)),
                Err(WriteError::Unanswered(why)) => open.push((prepared, Some(why))),
                Err(error) => {
                    self.back_off(&prepared.write.route, ports.clock.now(), retry::WRITE);
                    events.push(self.record_rejection(&prepared.write.route, error));
                }
            }
        }
        events.extend(self.read_back(ports, open, state).await);
        events
    }

    async fn read_back(
        &mut self,
        ports: &Ports,
        mut open: Vec<(PreparedWrite, Option<String>)>,
        state: &State,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut pauses = retry::READ_BACK.pauses();
        let until = ports.clock.now() + SignedDuration::from_secs(10);
        loop {
            let ids: Vec<_> = open.iter().map(|(p, _)| p.write.route.clone()).collect();
            if ids.is_empty() {
                return events;
            }
            let mut live = ports.balancer.traffic.routes(&ids).await;
            let now = ports.clock.now();
            let last = now >= until;
            open.retain(|(prepared, answer)| {
                match self.judge_read_back(
                    prepared,
                    answer.as_deref(),
                    live.remove(&prepared.write.route),
                    (now, last),
                    state,
                ) {
                    Some(event) => {
                        events.push(event);
                        false
                    }
                    None => true,
                }
            });
            if !open.is_empty() {
                ports.clock.sleep(pauses.next().unwrap_or_default()).await;
            }
        }
    }

    fn judge_read_back(
        &mut self,
        prepared: &PreparedWrite,
        answer: Option<&str>,
        read: Option<Result<RouteContent, Unreadable>>,
        (now, last): (Timestamp, bool),
        state: &State,
    ) -> Option<Event> {
        let id = &prepared.write.route;
        let outdated =
            |live: &RouteContent| live.forward_split().is_some_and(|split| may_be_stale(state, id, split, now));
        let why = |fallback: &str| {
            Some(answer.map_or_else(|| fallback.to_owned(), |a| format!("no response to the write: {a}")))
        };
        match read {
            // The write may restore the split before the last write. If the write got no response, a stale read of that
            // split does not prove that the write took effect.
            Some(Ok(live)) if answer.is_some() && outdated(&live) => {
                last.then(|| outcome(id, WriteResult::Unknown, None, why("the write is not confirmed by a read")))
            }
            // The write may have reached a process that had just restarted.
            Some(Ok(live)) if live.equivalent(&prepared.content) || prepared.content.kept_as(&live) => {
                self.backoffs.remove(id);
                self.refusals.remove(id);
                Some(outcome(id, WriteResult::Applied, Some(live.split), None))
            }
            Some(Ok(live)) if live.split.equivalent(&prepared.before) || outdated(&live) => last.then(|| {
                outcome(
                    id,
                    WriteResult::Unknown,
                    None,
                    why("AWS accepted the write, but reads still show the old weights"),
                )
            }),
            Some(Ok(live)) => Some(drifted(state, id, live)),
            Some(Err(Unreadable::NotFound(_))) => {
                Some(outcome(id, WriteResult::Deleted, None, Some("AWS does not find the route".into())))
            }
            Some(Err(error)) => last.then(|| {
                outcome(id, WriteResult::Unknown, None, why(&format!("the route cannot be read back: {error}")))
            }),
            None => last.then(|| outcome(id, WriteResult::Unknown, None, why("the route cannot be read back"))),
        }
    }

    fn record_rejection(&mut self, id: &RouteId, error: WriteError) -> Event {
        let result = match &error {
            WriteError::NotFound(_) => WriteResult::Deleted,
            WriteError::Throttled => {
                self.bucket.drain();
                WriteResult::Failed
            }
            _ => WriteResult::Failed,
        };
        if matches!(error, WriteError::Refused(_)) {
            *self.refusals.entry(id.clone()).or_default() += 1;
        }
        outcome(id, result, None, Some(error.to_string()))
    }

    /// Returns the routes whose writes were refused [`MAX_REFUSALS`] times in a row.
    pub fn refused_routes(&self) -> impl Iterator<Item = &RouteId> {
        self.refusals.iter().filter(|(_, n)| **n >= MAX_REFUSALS).map(|(id, _)| id)
    }

    /// Clears all refusals, because the situation or the intended shares have changed.
    pub fn clear_refusals(&mut self) {
        self.refusals.clear();
    }

    fn back_off(&mut self, id: &RouteId, now: Timestamp, schedule: RetrySchedule) {
        let (tries, at) = self.backoffs.entry(id.clone()).or_insert((0, now));
        *tries += 1;
        *at = now + schedule.after(*tries);
    }
}

/// Returns how many calls the bucket must allow before the next chunk of a large batch is sent. Each chunk costs a
/// decision about the whole run, so with chunks of one write, a thousand routes would cost a thousand such decisions.
/// The wait for these calls is at most a second, because requests and the guard also wait.
fn smallest_chunk(writes: &[Write]) -> usize {
    if is_large(writes) { LARGE_BATCH_CHUNK } else { 1 }
}

/// Returns whether a batch is so large that its chunks have a minimum size.
pub fn is_large(writes: &[Write]) -> bool {
    writes.len() > LARGE_BATCH
}

/// Returns the content of a route if it was read less than a minute ago and equals the last confirmed content. A blind
/// write needs this content.
fn recent_content(state: &State, watch: &Observed, id: &RouteId, now: Timestamp) -> Option<RouteContent> {
    let route = state.routes.get(id)?;
    let reading = watch.routes.get(id).filter(|r| now.duration_since(r.at) < MAX_BLIND_AGE)?;
    let live = reading.value.as_ref().ok()?;
    live.equivalent(&route.confirmed).then(|| live.clone())
}

/// Returns whether someone else wrote a split: the split is neither the last confirmed split, nor an earlier split, nor
/// a split that this run sent.
fn is_foreign(state: &State, id: &RouteId, split: &Split) -> bool {
    let Some(route) = state.routes.get(id) else { return false };
    let sent =
        route.open_writes.iter().flat_map(|o| &o.splits).chain(route.replaced_splits.iter().map(|past| &past.split));
    !sent.chain([route.split()]).any(|ours| ours.equivalent(split))
}

/// Returns whether a reading with this split may be stale and so proves nothing.
fn may_be_stale(state: &State, id: &RouteId, split: &Split, now: Timestamp) -> bool {
    state.routes.get(id).is_some_and(|route| route.is_outdated(split, now))
}

/// Returns events that name the foreign change that an operator's rollback overwrites. With these events the run knows
/// that a later stale read may show that change.
fn overwrite_events(state: &State, prepared: &PreparedWrite) -> Vec<Event> {
    let id = &prepared.write.route;
    let Some(route) =
        state.routes.get(id).filter(|_| prepared.write.expect.is_none() && is_foreign(state, id, &prepared.before))
    else {
        return Vec::new();
    };
    let live = prepared.content.with_split(&prepared.before);
    let known = route.drifted_content().is_some_and(|changed| changed.equivalent(&live));
    let shares = desired_split::shares_of(route, &prepared.before);
    let shares_text =
        shares.iter().map(|(cluster, share)| format!("{cluster} {share:.0} %")).collect::<Vec<_>>().join(", ");
    let message = format!("{}: the rollback overwrites a change by someone else ({shares_text})", route.start.label);
    let seen = (!known).then(|| drifted(state, id, live));
    seen.into_iter().chain([Event::Notice { message, refused: None, request: None }]).collect()
}

fn outcome(route: &RouteId, result: WriteResult, live: Option<Split>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.clone(), result, live, detail }
}

fn drifted(state: &State, route: &RouteId, live: RouteContent) -> Event {
    let expected = state.routes.get(route).map_or_else(|| live.clone(), |r| r.confirmed.clone());
    Event::Drifted { route: route.clone(), expected: Box::new(expected), live: Some(Box::new(live)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_a_large_batch_have_a_minimum_size_and_lose_no_time() {
        let mut now = Timestamp::UNIX_EPOCH;
        let settings = Settings::new("alice@mac".into(), "mac".into(), 100);
        let mut executor = Executor::new(&settings, now);
        let write = |n: u32| Write { route: RouteId::rule(format!("r{n}")), expect: None, set: Split::default() };
        let mut left: Vec<Write> = (0..310).map(write).collect();
        let mut chunks = Vec::new();
        while !left.is_empty() {
            let chunk = executor.next_chunk(&left, now).len();
            if chunk == 0 {
                let next = executor.next_write_at(&left, now);
                assert!(next > now && next.duration_since(now) < SignedDuration::from_millis(1_100));
                now = next;
            } else {
                chunks.push((left.len(), chunk));
                left.drain(..chunk);
            }
        }
        assert_eq!(chunks[0], (310, 10));
        let expected =
            |left: usize, chunk: usize| if left > LARGE_BATCH { chunk == LARGE_BATCH_CHUNK } else { chunk <= 2 };
        assert!(chunks[1..].iter().all(|(left, chunk)| expected(*left, *chunk)), "{chunks:?}");
        let ideal = f64::from(310 - 10) / 3.0;
        let seconds = now.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        assert!(seconds < ideal * 1.02, "{seconds} s, and the rate allows {ideal} s");
    }
}
