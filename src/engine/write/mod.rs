//! The executor: carries out a part of a batch, and says per route what became of it. It owns concurrency, rate, back-off and re-reading;
//! it chooses no goals.

use std::collections::BTreeMap;

use futures::stream::StreamExt;
use jiff::{SignedDuration, Timestamp};

use self::restore::Flights;
use super::limit::Bucket;
use super::{Ports, Settings};
use crate::base::retry::{self, Schedule};
use crate::domain::decide::goal;
use crate::domain::run::event::{Event, Write, WriteResult};
use crate::domain::run::state::{Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{Content, Reading, RouteId, Split, Unreadable};
use crate::port::WriteError;

pub mod restore;

/// Writes at once.
const PARALLEL: usize = 10;
/// Routes in one turn: one page of a read by ARN.
const CHUNK: usize = 20;
/// A blind write needs an observation that is not older than this.
const RECENT: SignedDuration = SignedDuration::from_mins(1);
/// Calls that raises leave in the bucket at all times: what a rollback can send at once even right after a raise.
const RESERVE: f64 = 8.0;
/// Refusals in a row until a route counts as refused.
const REFUSALS: u32 = 3;

/// A write that is about to be sent.
pub struct Prepared {
    pub write: Write,
    /// What the split was, for a read-back that is not yet there.
    before: Split,
    /// What is to be there, whole.
    content: Content,
}

/// What the executor remembers between turns.
pub struct Executor {
    bucket: Bucket,
    /// Tries in a row that failed, and when the next may be.
    later: BTreeMap<RouteId, (u32, Timestamp)>,
    refusals: BTreeMap<RouteId, u32>,
    /// What of a rollback is under way.
    pub flights: Flights,
}

impl Executor {
    /// With a full bucket.
    pub fn new(settings: &Settings, now: Timestamp) -> Self {
        let flights = Flights::new(settings.modify);
        Self { bucket: Bucket::new(settings.modify, now), later: BTreeMap::new(), refusals: BTreeMap::new(), flights }
    }

    /// The part of a batch that may be written now: as many as the rate allows, without those that must wait after a failure.
    pub fn chunk(&mut self, writes: &[Write], now: Timestamp) -> Vec<Write> {
        let ready: Vec<_> = writes
            .iter()
            .filter(|w| self.later.get(&w.route).is_none_or(|(_, at)| *at <= now))
            .take(CHUNK)
            .cloned()
            .collect();
        let granted = self.bucket.take_but(RESERVE, ready.len(), now);
        ready.into_iter().take(granted).collect()
    }

    /// When something of a batch may be written next.
    pub fn next(&self, writes: &[Write], now: Timestamp) -> Timestamp {
        let soon = now + SignedDuration::from_millis(350);
        let times = writes.iter().map(|w| self.later.get(&w.route).map_or(soon, |(_, at)| *at));
        times.min().unwrap_or(soon).max(soon)
    }

    /// Reads the routes and compares them with what is expected: outcomes for those that need no write, and what to write. The watch learns
    /// what was read: an older reading of its own must not contradict that.
    pub async fn prepare(
        &mut self,
        ports: &Ports,
        chunk: Vec<Write>,
        state: &State,
        watch: &mut Watch,
    ) -> (Vec<Event>, Vec<Prepared>) {
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
                .unwrap_or_else(|| Err(Unreadable::Unavailable("no answer for this route".into())));
            match self.compare(write, read, state, watch, now) {
                Ok(ready) => {
                    events.extend(overwritten(state, &ready));
                    prepared.push(ready);
                }
                Err(event) => events.extend(event),
            }
        }
        (events, prepared)
    }

    fn compare(
        &mut self,
        write: Write,
        read: Result<Content, Unreadable>,
        state: &State,
        watch: &Watch,
        now: Timestamp,
    ) -> Result<Prepared, Option<Event>> {
        let restore = write.expect.is_none();
        let unread = read.as_ref().err().map(ToString::to_string);
        let live = match read {
            Ok(live) => live,
            Err(Unreadable::NotFound(_)) => {
                return Err(Some(outcome(&write.route, WriteResult::Gone, None, Some("the route is gone".into()))));
            }
            Err(why) => {
                let Some(live) = recent(state, watch, &write.route, now).filter(|_| restore) else {
                    self.put_off(&write.route, now, retry::WRITE);
                    return Err(Some(outcome(
                        &write.route,
                        WriteResult::Unread,
                        None,
                        Some(format!("not read, so not written: {why}")),
                    )));
                };
                live
            }
        };
        let Some(before) = live.forwards().cloned() else {
            return Err(Some(drifted(state, &write.route, live)));
        };
        // A late read may show what stood there before our own last write, which is just what a rollback wants: then it is written all the same.
        let outdated = outdated(state, &write.route, &before, now);
        if before.same(&write.set) && !outdated {
            // Nothing to write, as far as is known; but that is no read-back.
            if let Some(why) = unread {
                self.put_off(&write.route, now, retry::WRITE);
                return Err(Some(outcome(&write.route, WriteResult::Unread, None, Some(format!("not read: {why}")))));
            }
            return Err(Some(outcome(&write.route, WriteResult::Already, Some(before), None)));
        }
        let beside = |route: &Route| live.same_beside(route.expected());
        if write
            .expect
            .as_ref()
            .is_some_and(|expect| !before.same(expect) || !state.routes.get(&write.route).is_none_or(beside))
        {
            if outdated {
                self.put_off(&write.route, now, retry::WRITE);
                let why = "what was read may be of the time before the last write".to_owned();
                return Err(Some(outcome(&write.route, WriteResult::Unread, None, Some(why))));
            }
            return Err(Some(drifted(state, &write.route, live)));
        }
        if restore && state.rollback.as_ref().is_some_and(|r| r.automatic) && foreign(state, &write.route, &before) {
            return Err(Some(drifted(state, &write.route, live)));
        }
        let content = live.with(&write.set);
        Ok(Prepared { write, before, content })
    }

    /// Sends the writes and reads each back until it is equal, or something else is there, or time is up.
    pub async fn send(
        &mut self,
        ports: &Ports,
        settings: &Settings,
        prepared: Vec<Prepared>,
        state: &State,
    ) -> Vec<Event> {
        let sent: Vec<_> = futures::stream::iter(prepared)
            .map(async |p| {
                let answer = ports.balancer.traffic.set(&p.write.route, &p.content, settings.deadline).await;
                (p, answer)
            })
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        let mut events = Vec::new();
        let mut open = Vec::new();
        for (prepared, answer) in sent {
            match answer {
                Ok(()) => open.push((prepared, None)),
                Err(WriteError::Unknown(why)) => open.push((prepared, Some(why))),
                Err(error) => {
                    self.put_off(&prepared.write.route, ports.clock.now(), retry::WRITE);
                    events.push(self.refused(&prepared.write.route, error));
                }
            }
        }
        events.extend(self.read_back(ports, open, state).await);
        events
    }

    async fn read_back(
        &mut self,
        ports: &Ports,
        mut open: Vec<(Prepared, Option<String>)>,
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
                match self.verdict(prepared, answer.as_deref(), live.remove(&prepared.write.route), (now, last), state)
                {
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

    fn verdict(
        &mut self,
        prepared: &Prepared,
        answer: Option<&str>,
        read: Option<Result<Content, Unreadable>>,
        (now, last): (Timestamp, bool),
        state: &State,
    ) -> Option<Event> {
        let id = &prepared.write.route;
        let outdated = |live: &Content| live.forwards().is_some_and(|split| outdated(state, id, split, now));
        let why = |fallback: &str| {
            Some(answer.map_or_else(|| fallback.to_owned(), |a| format!("no answer to the write: {a}")))
        };
        match read {
            // What stood there before the last write may be just what this one is to restore: without an answer, a late read proves nothing.
            Some(Ok(live)) if answer.is_some() && outdated(&live) => {
                last.then(|| outcome(id, WriteResult::Unknown, None, why("not read back")))
            }
            Some(Ok(live)) if live.same(&prepared.content) => {
                self.later.remove(id);
                self.refusals.remove(id);
                Some(outcome(id, WriteResult::Applied, Some(live.split), None))
            }
            Some(Ok(live)) if live.split.same(&prepared.before) || outdated(&live) => last.then(|| {
                outcome(id, WriteResult::Unknown, None, why("the write was accepted and is not to be seen yet"))
            }),
            Some(Ok(live)) => Some(drifted(state, id, live)),
            Some(Err(Unreadable::NotFound(_))) => {
                Some(outcome(id, WriteResult::Gone, None, Some("the route is gone".into())))
            }
            Some(Err(error)) => {
                last.then(|| outcome(id, WriteResult::Unknown, None, why(&format!("not read back: {error}"))))
            }
            None => last.then(|| outcome(id, WriteResult::Unknown, None, why("not read back"))),
        }
    }

    fn refused(&mut self, id: &RouteId, error: WriteError) -> Event {
        let result = match &error {
            WriteError::NotFound(_) => WriteResult::Gone,
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

    /// Routes that were refused so often in a row that trying goes on in vain.
    pub fn given_up(&self) -> impl Iterator<Item = &RouteId> {
        self.refusals.iter().filter(|(_, n)| **n >= REFUSALS).map(|(id, _)| id)
    }

    /// Forgets refusals: something has changed, or something else is to be written.
    pub fn forgive(&mut self) {
        self.refusals.clear();
    }

    fn put_off(&mut self, id: &RouteId, now: Timestamp, schedule: Schedule) {
        let (tries, at) = self.later.entry(id.clone()).or_insert((0, now));
        *tries += 1;
        *at = now + schedule.after(*tries);
    }
}

/// What was seen there less than a minute ago, if it equals what we last confirmed: the ground for a blind write.
fn recent(state: &State, watch: &Watch, id: &RouteId, now: Timestamp) -> Option<Content> {
    let route = state.routes.get(id)?;
    let reading = watch.routes.get(id).filter(|r| now.duration_since(r.at) < RECENT)?;
    let live = reading.value.as_ref().ok()?;
    live.same(&route.known).then(|| live.clone())
}

/// Whether a split is neither what we last confirmed, nor what stood there before, nor anything that we sent.
fn foreign(state: &State, id: &RouteId, split: &Split) -> bool {
    let Some(route) = state.routes.get(id) else { return false };
    let sent = route.open.iter().flat_map(|o| &o.sets).chain(route.past.iter().map(|past| &past.split));
    !sent.chain([route.split()]).any(|ours| ours.same(split))
}

/// Whether a reading that shows this proves nothing, as its route knows.
fn outdated(state: &State, id: &RouteId, split: &Split, now: Timestamp) -> bool {
    state.routes.get(id).is_some_and(|route| route.outdated(split, now))
}

/// What a person's rollback overwrites is named, and the run knows from then on that a late read may show the time before it.
fn overwritten(state: &State, prepared: &Prepared) -> Vec<Event> {
    let id = &prepared.write.route;
    let Some(route) =
        state.routes.get(id).filter(|_| prepared.write.expect.is_none() && foreign(state, id, &prepared.before))
    else {
        return Vec::new();
    };
    let live = prepared.content.with(&prepared.before);
    let known = route.changed().is_some_and(|changed| changed.same(&live));
    let shares = goal::shares_of(route, &prepared.before);
    let there = shares.iter().map(|(cluster, share)| format!("{cluster} {share:.0} %")).collect::<Vec<_>>().join(", ");
    let message = format!("{}: overwrites what someone else put there ({there})", route.start.label);
    let seen = (!known).then(|| drifted(state, id, live));
    seen.into_iter().chain([Event::Notice { message, refused: None, request: None }]).collect()
}

fn outcome(route: &RouteId, result: WriteResult, live: Option<Split>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.clone(), result, live, detail }
}

fn drifted(state: &State, route: &RouteId, live: Content) -> Event {
    let expected = state.routes.get(route).map_or_else(|| live.clone(), |r| r.known.clone());
    Event::Drifted { route: route.clone(), expected: Box::new(expected), live: Some(Box::new(live)) }
}
