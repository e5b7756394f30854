//! The executor of a rollback: all routes side by side, each on its own way from its write to its read-back, and back to its write where that
//! failed. Nothing here waits for the slowest.
//!
//! Writes stay under way across turns: a turn sends what may be sent, takes in what has come meanwhile, and ends within a second, so that
//! requests and other owners are heard. No limit of ours applies until AWS throttles; from then on it is AWS's own rate ([`Pace`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::{Executor, Prepared, RECENT, outcome, outdated, recent};
use crate::base::retry::{READ_BACK_SOON, RESTORE};
use crate::domain::decide::carriers;
use crate::domain::run::event::{Event, Record, Write, WriteResult};
use crate::domain::run::state::{Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{Content, RouteId, Unreadable};
use crate::engine::limit::{Pace, Rate};
use crate::engine::marker::MarkerError;
use crate::engine::{Ports, Settings};
use crate::port::WriteError;
use crate::port::store::Store;

/// Writes under way at once: twice what AWS takes in one burst ([`Rate`]). Each costs 64 kB of buffers, and more of them end no earlier: the
/// next is sent as soon as one is answered.
const PARALLEL: usize = 40;
/// A turn ends after this long.
const TURN: SignedDuration = SignedDuration::from_secs(1);
/// A write that was accepted is looked for this long.
const SEEN: SignedDuration = SignedDuration::from_secs(10);
/// Accepted writes are read back once no answer is outstanding, or after this long: some answers take their whole deadline.
const PATIENCE: SignedDuration = SignedDuration::from_millis(250);

/// Something that came back.
enum Landed {
    Answer(Box<Prepared>, Result<(), WriteError>),
    Read(Vec<(RouteId, Result<Content, Unreadable>)>),
    Marked(Result<(), MarkerError>),
}

/// A write that was sent, to be read back.
struct Check {
    prepared: Box<Prepared>,
    /// Why it was not answered, if it was not.
    unanswered: Option<String>,
    since: Timestamp,
    /// The next read.
    due: Timestamp,
    /// Reads so far.
    reads: u32,
}

/// What of a rollback is under way.
pub struct Flights {
    pace: Pace,
    landing: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// Routes whose write is not answered yet.
    sent: BTreeSet<RouteId>,
    checks: Vec<Check>,
    reading: bool,
    marking: bool,
}

/// What a turn took in.
#[derive(Default)]
pub struct Turn {
    pub events: Vec<Event>,
    /// What became of the marker.
    pub marked: Option<Result<(), MarkerError>>,
}

impl Flights {
    pub fn new(rate: Rate) -> Self {
        let landing = FuturesUnordered::new();
        Self {
            pace: Pace::new(rate.per_second),
            landing,
            sent: BTreeSet::new(),
            checks: Vec::new(),
            reading: false,
            marking: false,
        }
    }

    /// Whether a route's last write is still on its way.
    fn has(&self, id: &RouteId) -> bool {
        self.sent.contains(id) || self.checks.iter().any(|c| c.prepared.write.route == *id)
    }

    /// Whether nothing is under way.
    pub fn idle(&self) -> bool {
        self.landing.is_empty() && self.checks.is_empty()
    }

    /// When the next read begins, if one is due and none is under way.
    fn next_read(&self) -> Option<Timestamp> {
        let due = |c: &Check| if self.sent.is_empty() { c.due } else { c.due.max(c.since + PATIENCE) };
        self.checks.iter().map(due).min().filter(|_| !self.reading)
    }

    /// Puts the marker meanwhile.
    pub fn mark(&mut self, marking: BoxFuture<'static, Result<(), MarkerError>>) {
        self.marking = true;
        self.landing.push(marking.map(Landed::Marked).boxed());
    }

    /// Waits for the marker, if it is being put.
    pub async fn marked(&mut self) {
        while self.marking {
            match self.landing.next().await {
                Some(Landed::Marked(_)) | None => self.marking = false,
                Some(_) => {}
            }
        }
    }
}

impl Executor {
    /// The restoring writes that may be sent now, in their order: those that need no reading before any that do.
    pub fn ready(&mut self, writes: &[Write], now: Timestamp, blind: impl Fn(&Write) -> bool) -> Vec<Write> {
        let due = |w: &&Write| !self.flights.has(&w.route) && self.later.get(&w.route).is_none_or(|(_, at)| *at <= now);
        let mut all: Vec<_> = writes.iter().filter(due).collect();
        if all.iter().any(|w| blind(w)) {
            all.retain(|w| blind(w));
        }
        let room = PARALLEL.saturating_sub(self.flights.sent.len());
        let granted = self.flights.pace.grant(all.len().min(room), now);
        all.into_iter().take(granted).cloned().collect()
    }

    /// Sends them.
    pub fn launch(&mut self, ports: &Ports, settings: &Settings, prepared: Vec<Prepared>) {
        for prepared in prepared {
            self.flights.sent.insert(prepared.write.route.clone());
            let (traffic, deadline) = (Arc::clone(&ports.balancer.traffic), settings.deadline);
            let sent = async move {
                let answer = traffic.set(&prepared.write.route, &prepared.content, deadline).await;
                Landed::Answer(Box::new(prepared), answer)
            };
            self.flights.landing.push(sent.boxed());
        }
    }

    /// Takes in what has come, or waits for the next to come, but not beyond the turn, nor beyond the time at which more may be sent.
    pub async fn land(&mut self, ports: &Ports, state: &State, more: Option<Timestamp>) -> Turn {
        let now = ports.clock.now();
        let end = more.map_or(now + TURN, |more| more.min(now + TURN));
        let full = self.flights.sent.len() >= PARALLEL;
        let mut turn = Turn::default();
        loop {
            let now = ports.clock.now();
            self.read(ports, now);
            let until = self.flights.next_read().map_or(end, |read| read.min(end));
            let left = until.duration_since(now).max(SignedDuration::from_millis(1)).unsigned_abs();
            let landed = tokio::select! {
                biased;
                Some(landed) = self.flights.landing.next() => Some(landed),
                () = ports.clock.sleep(left) => None,
            };
            let now = ports.clock.now();
            let came = landed.is_some();
            self.take(landed, state, now, &mut turn);
            while let Some(Some(landed)) = self.flights.landing.next().now_or_never() {
                self.take(Some(landed), state, now, &mut turn);
            }
            self.read(ports, now);
            let said = !turn.events.is_empty() || turn.marked.is_some();
            if said || now >= end || (came && full) || self.flights.idle() {
                // What was begun above is on its way before this returns.
                if let Some(Some(landed)) = self.flights.landing.next().now_or_never() {
                    self.take(Some(landed), state, now, &mut turn);
                }
                return turn;
            }
        }
    }

    /// Begins to read back what is due.
    fn read(&mut self, ports: &Ports, now: Timestamp) {
        let flights = &mut self.flights;
        if flights.next_read().is_none_or(|at| at > now) {
            return;
        }
        let ids: Vec<_> =
            flights.checks.iter().filter(|c| c.due <= now).map(|c| c.prepared.write.route.clone()).collect();
        let traffic = Arc::clone(&ports.balancer.traffic);
        flights.reading = true;
        flights.landing.push(async move { Landed::Read(traffic.routes(&ids).await.into_iter().collect()) }.boxed());
    }

    fn take(&mut self, landed: Option<Landed>, state: &State, now: Timestamp, turn: &mut Turn) {
        match landed {
            Some(Landed::Answer(prepared, answer)) => turn.events.extend(self.answered(prepared, answer, now)),
            Some(Landed::Read(live)) => {
                self.flights.reading = false;
                for (id, read) in live {
                    turn.events.extend(self.checked(&id, read, state, now));
                }
            }
            Some(Landed::Marked(result)) => {
                self.flights.marking = false;
                turn.marked = Some(result);
            }
            None => {}
        }
    }

    fn answered(&mut self, prepared: Box<Prepared>, answer: Result<(), WriteError>, now: Timestamp) -> Option<Event> {
        self.flights.sent.remove(&prepared.write.route);
        let unanswered = match answer {
            Ok(()) => None,
            Err(WriteError::Unknown(why)) => Some(why),
            // It is sent again as soon as the pace allows; that is no failure of this route.
            Err(WriteError::Throttled) => {
                self.flights.pace.throttled(now);
                return Some(outcome(
                    &prepared.write.route,
                    WriteResult::Failed,
                    None,
                    Some(WriteError::Throttled.to_string()),
                ));
            }
            Err(error) => {
                self.put_off(&prepared.write.route, now, RESTORE);
                return Some(self.refused(&prepared.write.route, error));
            }
        };
        if unanswered.is_none() {
            self.flights.pace.accepted();
        }
        self.flights.checks.push(Check { prepared, unanswered, since: now, due: now, reads: 0 });
        None
    }

    /// What a reading says of a write; nothing where it is to be read again, or where the run knows already.
    fn checked(
        &mut self,
        id: &RouteId,
        read: Result<Content, Unreadable>,
        state: &State,
        now: Timestamp,
    ) -> Option<Event> {
        let at = self.flights.checks.iter().position(|c| c.prepared.write.route == *id)?;
        let mut check = self.flights.checks.swap_remove(at);
        let there = read.as_ref().ok().and_then(Content::forwards);
        let Prepared { before, write, .. } = &*check.prepared;
        let open = there.is_some_and(|f| (f.same(before) && !before.same(&write.set)) || outdated(state, id, f, now));
        // One that was not answered is sent again rather than waited for: it may never have arrived.
        let last = now.duration_since(check.since) >= SEEN || (open && check.unanswered.is_some());
        let event = self.verdict(&check.prepared, check.unanswered.as_deref(), Some(read), (now, last), state);
        let Some(event) = event else {
            check.reads += 1;
            check.due = now + READ_BACK_SOON.after(check.reads);
            self.flights.checks.push(check);
            return None;
        };
        if matches!(event, Event::Outcome { result: WriteResult::Unknown, .. }) {
            self.put_off(id, now, RESTORE);
        }
        state.routes.get(id).is_some_and(|r| r.open.is_some()).then_some(event)
    }

    /// When more of these may be sent; `None`: all are under way.
    pub fn again(&self, writes: &[Write], now: Timestamp) -> Option<Timestamp> {
        let left = writes.iter().filter(|w| !self.flights.has(&w.route));
        let first = left.map(|w| self.later.get(&w.route).map_or(now, |(_, at)| *at)).min()?;
        Some(first.max(self.flights.pace.next()).max(now + SignedDuration::from_millis(10)))
    }
}

/// A write that needs no reading first, because its route was seen as we know it less than a minute ago: by this process, or at `seen` by the
/// one before it. `None` where that is not so, and where it would change nothing: then a read has to show that.
pub fn blind(state: &State, watch: &Watch, seen: Option<Timestamp>, write: &Write, now: Timestamp) -> Option<Prepared> {
    let id = &write.route;
    let route =
        state.routes.get(id).filter(|r| r.open.is_none() && r.drift.is_none() && !r.split().same(&write.set))?;
    let before = seen.is_some_and(|at| now.duration_since(at) < RECENT) && !watch.routes.contains_key(id);
    let content = if before { route.known.clone() } else { recent(state, watch, id, now)? };
    Some(Prepared { before: route.split().clone(), content: content.with(&write.set), write: write.clone() })
}

/// When the process that had the run before this one last saw every route as the journal says, if that is less than a minute ago; `None`
/// also where the journal knows of a way back without a healthy target: then somebody has to look again first.
pub async fn seen(store: &dyn Store, records: &[Record], state: &State, now: Timestamp) -> Option<Timestamp> {
    let seen = store.look(&state.run).await?.seen.filter(|at| now.duration_since(*at) < RECENT && *at <= now)?;
    let health =
        records.iter().rev().find_map(|r| if let Event::Health { groups } = &r.event { Some(groups) } else { None });
    let dead = |arn: &str| health.is_some_and(|groups| groups.get(arn).is_some_and(|c| c.healthy == 0));
    let lost = |route: &Route| !carriers(state, route).is_empty() && carriers(state, route).into_iter().all(dead);
    (!state.routes.values().any(lost)).then_some(seen)
}
