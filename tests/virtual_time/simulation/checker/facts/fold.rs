//! Updates the facts with the entries of a history, one by one.

use cutover::domain::run::event::{DriftPolicy, Event, Ramp, Record, ResumeMode, RouteStart, Trigger, WriteResult};
use cutover::domain::traffic::{RouteContent, RouteId};
use jiff::{SignedDuration, Timestamp};

use super::{Facts, Intent, PastContent, RampedRollback, RouteReading};
use crate::simulation::history::{By, Entry, EntryContent, Verb};
use crate::simulation::route_actions;

impl Facts {
    pub fn fold(&mut self, entry: &Entry) {
        self.hooks.fold(entry);
        match &entry.what {
            EntryContent::Started(started) => {
                self.original =
                    started.routes.iter().map(|r| (r.id.clone(), route_actions::from_content(&r.content))).collect();
                for (id, actions) in &self.original {
                    // A change by someone else before the run started is part of the original content.
                    if self.world.entry(id.clone()).or_insert_with(|| Some(actions.clone())).as_ref() == Some(actions) {
                        self.foreign.remove(id);
                    }
                }
                let forwards = started
                    .routes
                    .iter()
                    .filter_map(|r| Some((r.id.clone(), vec![r.content.forward_split()?.clone()])));
                self.ours = forwards.collect();
                let process = |r: &RouteStart| Some((r.id.clone(), r.content.process.clone()?));
                self.processes = started.routes.iter().filter_map(process).collect();
                self.started = Some(started.clone());
            }
            EntryContent::Begins(verb) => {
                // `cutover run` continues with the readings of its own preflight, which is recorded as `Check`.
                if (self.verb, *verb) != (Verb::Check, Verb::Run) {
                    self.seen.clear();
                    self.read.clear();
                    self.health.clear();
                    self.written.clear();
                    self.restored.clear();
                    self.marker = None;
                    self.caller = None;
                    self.clusters.clear();
                }
                self.process = entry.process;
                self.verb = *verb;
            }
            EntryContent::Ends(..) | EntryContent::Died => {
                self.alive.remove(&entry.process);
            }
            EntryContent::ClockSet(by) => self.hurried = Some(entry.at).filter(|_| *by > 0).or(self.hurried),
            EntryContent::SawMarker(value) => self.marker = Some((entry.at, value.clone())),
            EntryContent::SawCaller(account) => self.caller = Some(account.clone().ok_or(())),
            EntryContent::SawCluster { cluster, uid: Some(uid) } => {
                self.clusters.insert(cluster.clone(), uid.clone());
            }
            EntryContent::Applied { by, route, before, after } => {
                let past = PastContent { actions: before.clone(), at: entry.at, known: false };
                self.replaced.entry(route.clone()).or_default().push(past);
                self.world.insert(route.clone(), after.clone());
                if *by == By::Us {
                    self.applied.insert(route.clone(), entry.at);
                    self.foreign.remove(route);
                } else {
                    self.foreign.insert(route.clone());
                    self.noticed.remove(route);
                    self.agreed.remove(route);
                }
            }
            EntryContent::Set { route, content } => {
                self.right.remove(route);
                self.written.insert(route.clone());
                self.restored.extend(self.rollback.is_some().then(|| route.clone()));
                self.alive.insert(entry.process);
                self.ours.entry(route.clone()).or_default().extend(content.forward_split().cloned());
                self.set.extend(content.forward_split().map(|split| (route.clone(), split.clone())));
            }
            EntryContent::SawRoute { route, requested_at, live, gone } => {
                self.saw(route, *requested_at, entry.at, live.as_ref(), *gone);
            }
            EntryContent::SawHealth { group, requested_at, counts } => {
                self.health.entry(group.clone()).or_default().push((*requested_at, *counts));
            }
            EntryContent::Journalled(record) => self.record(entry.at, record, true),
            EntryContent::Published(record) => self.record(entry.at, record, false),
            _ => {}
        }
    }

    fn saw(
        &mut self,
        route: &RouteId,
        requested_at: Timestamp,
        at: Timestamp,
        live: Option<&RouteContent>,
        gone: bool,
    ) {
        let as_set = live
            .and_then(RouteContent::forward_split)
            .zip(self.set.get(route))
            .is_some_and(|(live, set)| live.equivalent(set));
        if as_set && self.applied.get(route).is_some_and(|applied| *applied <= requested_at) {
            self.right.entry(route.clone()).or_insert((at, self.process));
        }
        let seen = live.map(route_actions::from_content);
        if let Some((live, process)) = live.and_then(|live| Some((live, live.process.clone()?))) {
            // A process that has the weights of the earlier process has forgotten nothing.
            let set = live.forward_split().zip(self.set.get(route)).is_some_and(|(live, set)| live.equivalent(set));
            let expected = self.confirmed.get(route).or(self.original.get(route));
            if set || expected == seen.as_ref() {
                self.processes.insert(route.clone(), process);
            }
        }
        if self.world.get(route).is_some_and(|world| *world == seen) {
            self.noticed.insert(route.clone());
        }
        self.written.remove(route);
        if live.is_some() || gone {
            self.read.insert(route.clone(), RouteReading { requested_at, at, live: live.cloned() });
        }
        self.seen.insert(route.clone(), RouteReading { requested_at, at, live: live.cloned() });
    }

    fn record(&mut self, at: Timestamp, record: &Record, durable: bool) {
        self.run = Some(record.run.clone());
        match &record.event {
            Event::StepStarted { step, .. } => self.step = *step,
            Event::Intended { restore, writes, .. } => {
                for write in writes {
                    let durable =
                        durable || self.intents.get(&write.route).is_some_and(|i| i.durable && i.write == *write);
                    self.intents
                        .insert(write.route.clone(), Intent { restore: *restore, write: write.clone(), durable });
                }
            }
            Event::Outcome { route, result, live, .. } => {
                self.intents.remove(route);
                self.rejected.remove(route);
                if *result == WriteResult::Failed {
                    self.rejected.insert(route.clone());
                }
                if matches!(result, WriteResult::Applied | WriteResult::Already) {
                    let actions = self
                        .route(route)
                        .zip(live.as_ref())
                        .map(|(r, live)| route_actions::from_content(&r.content.with_split(live)));
                    self.confirmed.extend(actions.map(|actions| (route.clone(), actions)));
                    self.drift.remove(route);
                    self.learned(route, at);
                }
            }
            Event::RollbackStarted { trigger, to_step, .. } => {
                self.go_back(at, (*trigger, *to_step), durable);
                self.way = None;
            }
            Event::RampStarted { ramp, .. } => {
                self.go_back(at, (Trigger::Operator, None), durable);
                if !durable || self.way.is_none() {
                    self.way = Some(self.way(ramp));
                }
            }
            Event::Ramped { percent, .. } => {
                if let Some(way) = &mut self.way {
                    way.percent = way.percent.max(*percent);
                    way.published = if durable { way.published } else { *percent };
                }
            }
            Event::Drifted { route, live: Some(live), expected } if !live.equivalent(expected) => {
                let actions = route_actions::from_content(live);
                if self.is_reloaded(route, live) && self.route(route).is_some_and(|route| route.reasserts) {
                    self.agreed.insert(route.clone(), actions.clone());
                }
                self.drift.insert(route.clone(), actions);
                self.learned(route, at);
            }
            Event::Drifted { route, .. } => drop(self.drift.remove(route)),
            Event::Resumed { mode: ResumeMode { drift, .. }, .. } if *drift != DriftPolicy::Leave => {
                self.agreed.extend(self.drift.clone());
                if *drift == DriftPolicy::KeepLive {
                    self.confirmed.extend(self.drift.clone());
                }
            }
            Event::Notice { message, .. } => self.notices.push(message.clone()),
            Event::GateFailed { gate, group, .. } => self.failed = Some((*gate, group.clone())),
            Event::Finished { outcome, .. } => self.finished = Some(*outcome),
            Event::RetireStarted { .. } => (self.detaching, self.finished) = (true, None),
            _ => {}
        }
    }

    fn go_back(&mut self, at: Timestamp, (trigger, to_step): (Trigger, Option<usize>), durable: bool) {
        self.rollback = Some((trigger, to_step));
        if !durable {
            self.restored.clear();
        }
        // With a full disk, a record is published first and written much later.
        self.since = Some(at).filter(|_| !durable || self.since.is_none()).or(self.since);
        self.finished = None;
    }

    fn way(&self, ramp: &Ramp) -> RampedRollback {
        let from = |route: &RouteStart| {
            let known = self.confirmed.get(&route.id).or(self.original.get(&route.id)).cloned();
            (route.id.clone(), [self.world.get(&route.id).cloned().flatten(), known])
        };
        let percent = ramp.percents.first().copied().unwrap_or(100);
        let every = SignedDuration::from_secs(i64::try_from(ramp.every).unwrap_or(i64::MAX));
        RampedRollback { every, percent, published: percent, from: self.routes().iter().map(from).collect() }
    }

    /// Records that the run knows the present content of a route.
    fn learned(&mut self, route: &RouteId, at: Timestamp) {
        for past in self.replaced.get_mut(route).into_iter().flatten().filter(|past| !past.known) {
            (past.at, past.known) = (at, true);
        }
    }
}
