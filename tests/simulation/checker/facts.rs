//! What a history has told so far.

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::action::{Action, Forward, forward, same, with_forward};
use cutover::domain::alb::RouteId;
use cutover::domain::event::{Counts, Event, Outcome, Ramp, Record, ResumeMode, RouteStart, Started, Write, WriteResult};
use cutover::plan::model::{Plan, Shares, StepKind};
use jiff::{SignedDuration, Timestamp};

use super::deeds::Deeds;
use super::parts::{others, part};
use crate::face::{self, Face};
use crate::history::{By, Entry, Verb, What};

/// A route as it was last read.
#[derive(Debug, Clone)]
pub struct Sight {
    pub asked: Timestamp,
    pub at: Timestamp,
    pub live: Option<Vec<Action>>,
}

/// What once stood on a route.
#[derive(Debug, Clone)]
pub struct Past {
    pub face: Face,
    /// When it was replaced; once the run knows of that, when it learned of it.
    pub at: Timestamp,
    known: bool,
}

/// A way back in parts.
#[derive(Debug, Clone)]
pub struct Way {
    /// Between two parts.
    pub every: SignedDuration,
    /// The part that is written, or was: percent of the way.
    pub percent: u32,
    /// The part that was last told of.
    pub told: u32,
    /// Where each route may be said to have been when it began: as it was, and as the run knew it.
    pub from: BTreeMap<RouteId, [Option<Face>; 2]>,
}

/// An intent.
#[derive(Debug, Clone)]
pub struct Intent {
    pub restore: bool,
    pub write: Write,
    pub durable: bool,
}

/// See the module.
#[derive(Clone)]
pub struct Facts {
    pub plan: Plan,
    started: Option<Box<Started>>,
    /// The actions of the run's routes when it started.
    pub original: BTreeMap<RouteId, Face>,
    pub process: u32,
    pub verb: Verb,
    /// What this process has seen.
    pub seen: BTreeMap<RouteId, Sight>,
    /// What this process has seen of them when it could read them last.
    pub read: BTreeMap<RouteId, Sight>,
    pub health: BTreeMap<String, Vec<(Timestamp, Option<Counts>)>>,
    /// The last time that each route was written in the world, by us.
    pub applied: BTreeMap<RouteId, Timestamp>,
    /// What stood on each route before.
    pub replaced: BTreeMap<RouteId, Vec<Past>>,
    /// Since when each route has been read as it was last set, and by which process.
    pub right: BTreeMap<RouteId, (Timestamp, u32)>,
    /// What each route was last set to.
    pub set: BTreeMap<RouteId, Forward>,
    /// Open intents.
    pub intents: BTreeMap<RouteId, Intent>,
    /// Routes that someone else has changed, and nobody gave up.
    pub foreign: BTreeSet<RouteId>,
    pub step: usize,
    pub rollback: Option<(String, Option<usize>)>,
    /// The way back, where it is one in parts.
    pub way: Option<Way>,
    /// What each route has, as the run last said that it was read back.
    confirmed: BTreeMap<RouteId, Face>,
    pub finished: Option<Outcome>,
    /// The old groups are taken out of the actions.
    pub detaching: bool,
    /// What someone else put on a route, as the run noted it.
    drift: BTreeMap<RouteId, Face>,
    /// What someone else put on a route, where a person said what is to become of it: kept, or overwritten.
    agreed: BTreeMap<RouteId, Face>,
    /// Routes that this process has written since it last read them.
    pub written: BTreeSet<RouteId>,
    /// Everything that each route was ever to be set to, and what it was at the start.
    pub ours: BTreeMap<RouteId, Vec<Forward>>,
    /// Routes of which some reading showed what someone else last did to them.
    noticed: BTreeSet<RouteId>,
    pub notices: Vec<String>,
    /// When the rollback began.
    pub since: Option<Timestamp>,
    /// Processes that have written and have not ended.
    pub alive: BTreeSet<u32>,
    pub run: Option<String>,
    /// The marker as this process last read it.
    pub marker: Option<(Timestamp, Result<Option<String>, ()>)>,
    /// The account that this process was last told, or that it could not be told; absent: it never asked.
    pub caller: Option<Result<String, ()>>,
    /// UIDs of clusters as this process read them.
    pub clusters: BTreeMap<String, String>,
    /// When the clock was last set forward: for the next process, what began before is as much longer ago.
    pub hurried: Option<Timestamp>,
    /// The last gate that failed, by its group.
    pub failed: Option<(String, String)>,
    /// Commands and hooks.
    pub deeds: Deeds,
    /// Routes that were written since the rollback began, by this process.
    pub restored: BTreeSet<RouteId>,
    /// The world.
    pub world: BTreeMap<RouteId, Option<Face>>,
}

impl Facts {
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            started: None,
            original: BTreeMap::new(),
            process: 0,
            verb: Verb::Check,
            seen: BTreeMap::new(),
            read: BTreeMap::new(),
            health: BTreeMap::new(),
            applied: BTreeMap::new(),
            replaced: BTreeMap::new(),
            right: BTreeMap::new(),
            set: BTreeMap::new(),
            intents: BTreeMap::new(),
            foreign: BTreeSet::new(),
            step: 1,
            rollback: None,
            way: None,
            confirmed: BTreeMap::new(),
            finished: None,
            detaching: false,
            drift: BTreeMap::new(),
            agreed: BTreeMap::new(),
            written: BTreeSet::new(),
            ours: BTreeMap::new(),
            noticed: BTreeSet::new(),
            notices: Vec::new(),
            since: None,
            alive: BTreeSet::new(),
            run: None,
            marker: None,
            caller: None,
            clusters: BTreeMap::new(),
            failed: None,
            hurried: None,
            deeds: Deeds::default(),
            restored: BTreeSet::new(),
            world: BTreeMap::new(),
        }
    }

    pub fn started(&self) -> Option<&Started> {
        self.started.as_deref()
    }

    /// The routes of the run.
    pub fn routes(&self) -> &[RouteStart] {
        self.started.as_ref().map_or(&[], |s| s.routes.as_slice())
    }

    pub fn route(&self, id: &str) -> Option<&RouteStart> {
        self.routes().iter().find(|r| r.id == id)
    }

    /// The shares that a step of the plan asks for, if it is a share step.
    pub fn shares(&self, step: usize) -> Option<&Shares> {
        if let StepKind::Shares(shares) = self.kind(step)? { Some(shares) } else { None }
    }

    /// What a step of the plan does.
    pub fn kind(&self, step: usize) -> Option<&StepKind> {
        self.plan.strategy.steps.iter().find(|s| s.number == step).map(|s| &s.kind)
    }

    /// The shares that rule at a step: those of the last share step up to it, else those of the start.
    pub fn ruling(&self, step: usize) -> Option<&Shares> {
        (1..=step).rev().find_map(|s| self.shares(s)).or(self.plan.strategy.start.as_ref())
    }

    pub fn fold(&mut self, entry: &Entry) {
        self.deeds.fold(entry);
        match &entry.what {
            What::Started(started) => {
                self.original = started.routes.iter().map(|r| (r.id.clone(), face::typed(&r.actions))).collect();
                for (id, face) in &self.original {
                    // What someone else did before is no change of what was found.
                    if self.world.entry(id.clone()).or_insert_with(|| Some(face.clone())).as_ref() == Some(face) {
                        self.foreign.remove(id);
                    }
                }
                let forwards = started.routes.iter().filter_map(|r| Some((r.id.clone(), vec![forward(&r.actions)?.clone()])));
                self.ours = forwards.collect();
                self.started = Some(started.clone());
            }
            What::Begins(verb) => {
                // A new run's own preflight is told apart only because it must not change anything.
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
            What::Ends(..) | What::Died => {
                self.alive.remove(&entry.process);
            }
            What::Jumped(by) => self.hurried = Some(entry.at).filter(|_| *by > 0).or(self.hurried),
            What::SawMarker(value) => self.marker = Some((entry.at, value.clone())),
            What::SawCaller(account) => self.caller = Some(account.clone().ok_or(())),
            What::SawCluster { cluster, uid: Some(uid) } => {
                self.clusters.insert(cluster.clone(), uid.clone());
            }
            What::Applied { by, route, before, after } => {
                let past = Past { face: before.clone(), at: entry.at, known: false };
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
            What::Set { route, actions } => {
                self.right.remove(route);
                self.written.insert(route.clone());
                self.restored.extend(self.rollback.is_some().then(|| route.clone()));
                self.alive.insert(entry.process);
                self.ours.entry(route.clone()).or_default().extend(forward(actions).cloned());
                self.set.extend(forward(actions).map(|f| (route.clone(), f.clone())));
            }
            What::SawRoute { route, asked, live, gone } => self.saw(route, *asked, entry.at, live.as_ref(), *gone),
            What::SawHealth { group, asked, counts } => self.health.entry(group.clone()).or_default().push((*asked, *counts)),
            What::Journalled(record) => self.record(entry.at, record, true),
            What::Told(record) => self.record(entry.at, record, false),
            _ => {}
        }
    }

    fn saw(&mut self, route: &str, asked: Timestamp, at: Timestamp, live: Option<&Vec<Action>>, gone: bool) {
        let as_set = live.and_then(|l| forward(l)).zip(self.set.get(route)).is_some_and(|(live, set)| live.same(set));
        if as_set && self.applied.get(route).is_some_and(|applied| *applied <= asked) {
            self.right.entry(route.to_owned()).or_insert((at, self.process));
        }
        let seen = live.map(|l| face::typed(l));
        if self.world.get(route).is_some_and(|world| *world == seen) {
            self.noticed.insert(route.to_owned());
        }
        self.written.remove(route);
        if live.is_some() || gone {
            self.read.insert(route.to_owned(), Sight { asked, at, live: live.cloned() });
        }
        self.seen.insert(route.to_owned(), Sight { asked, at, live: live.cloned() });
    }

    fn record(&mut self, at: Timestamp, record: &Record, durable: bool) {
        self.run = Some(record.run.clone());
        match &record.event {
            Event::StepStarted { step, .. } => self.step = *step,
            Event::Intended { restore, writes, .. } => {
                for write in writes {
                    let durable = durable || self.intents.get(&write.route).is_some_and(|i| i.durable && i.write == *write);
                    self.intents.insert(write.route.clone(), Intent { restore: *restore, write: write.clone(), durable });
                }
            }
            Event::Outcome { route, result, live, .. } => {
                self.intents.remove(route);
                if matches!(result, WriteResult::Applied | WriteResult::Already) {
                    let face = self.route(route).zip(live.as_ref()).map(|(r, live)| face::typed(&with_forward(&r.actions, live)));
                    self.confirmed.extend(face.map(|face| (route.clone(), face)));
                    self.drift.remove(route);
                    self.learned(route, at);
                }
            }
            Event::RollbackStarted { by, to_step, .. } => {
                self.go_back(at, (by, *to_step), durable);
                self.way = None;
            }
            Event::RampStarted { by, ramp, .. } => {
                self.go_back(at, (by, None), durable);
                if !durable || self.way.is_none() {
                    self.way = Some(self.way(ramp));
                }
            }
            Event::Ramped { percent, .. } => {
                if let Some(way) = &mut self.way {
                    way.percent = way.percent.max(*percent);
                    way.told = if durable { way.told } else { *percent };
                }
            }
            Event::Drifted { route, live: Some(live), expected } if !same(live, expected) => {
                self.drift.insert(route.clone(), face::typed(live));
                self.learned(route, at);
            }
            Event::Drifted { route, .. } => drop(self.drift.remove(route)),
            Event::Resumed { mode: mode @ (ResumeMode::Reassert | ResumeMode::KeepLive), .. } => {
                self.agreed.extend(self.drift.clone());
                if *mode == ResumeMode::KeepLive {
                    self.confirmed.extend(self.drift.clone());
                }
            }
            Event::Notice { message, .. } => self.notices.push(message.clone()),
            Event::GateFailed { gate, group, .. } => self.failed = Some((gate.clone(), group.clone())),
            Event::Finished { outcome, .. } => self.finished = Some(*outcome),
            Event::DetachStarted { .. } => (self.detaching, self.finished) = (true, None),
            _ => {}
        }
    }

    fn go_back(&mut self, at: Timestamp, (by, to_step): (&str, Option<usize>), durable: bool) {
        self.rollback = Some((by.to_owned(), to_step));
        if !durable {
            self.restored.clear();
        }
        // A full disk lets it be told first, and written much later.
        self.since = Some(at).filter(|_| !durable || self.since.is_none()).or(self.since);
        self.finished = None;
    }

    fn way(&self, ramp: &Ramp) -> Way {
        let from = |route: &RouteStart| {
            let known = self.confirmed.get(&route.id).or(self.original.get(&route.id)).cloned();
            (route.id.clone(), [self.world.get(&route.id).cloned().flatten(), known])
        };
        let percent = ramp.percents.first().copied().unwrap_or(100);
        let every = SignedDuration::from_secs(i64::try_from(ramp.every).unwrap_or(i64::MAX));
        Way { every, percent, told: percent, from: self.routes().iter().map(from).collect() }
    }

    /// The way back that is not yet all of it.
    pub fn part(&self) -> Option<&Way> {
        self.way.as_ref().filter(|way| way.percent < 100)
    }

    /// The groups that carried a route's traffic at the start.
    pub fn home<'a>(&'a self, route: &'a RouteStart) -> impl Iterator<Item = &'a String> {
        let before = &self.original[&route.id];
        route.groups.values().filter(|group| before.weights.get(*group).is_some_and(|weight| *weight > 0))
    }

    /// The run knows what stands on a route.
    fn learned(&mut self, route: &str, at: Timestamp) {
        for past in self.replaced.get_mut(route).into_iter().flatten().filter(|past| !past.known) {
            (past.at, past.known) = (at, true);
        }
    }

    /// What this process last saw on a route, where that is nothing that we ever put there, nor what a person knows of.
    pub fn stranger(&self, route: &str) -> Option<&Vec<Action>> {
        let live = self.seen.get(route)?.live.as_ref()?;
        let ours = self.ours.get(route)?;
        let known = forward(live).is_some_and(|f| ours.iter().any(|own| own.same(f)));
        (!known && self.agreed.get(route).is_none_or(|face| *face != face::typed(live))).then_some(live)
    }

    /// Whether a person said what is to become of what someone else put on a route.
    pub fn agreed(&self, route: &str) -> bool {
        self.agreed.contains_key(route)
    }

    /// The routes on which this process saw something that is not ours.
    pub fn strange(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str).filter(|id| self.stranger(id).is_some())
    }

    /// Whether someone else changed a route, and no reading has shown that since: nobody could know.
    pub fn unseen(&self, route: &str) -> bool {
        self.foreign.contains(route) && !self.noticed.contains(route)
    }

    /// A route that is not as it was at the start, and why; someone else's changes aside.
    pub fn away(&self) -> Option<(&RouteStart, String)> {
        let mut ours = self.routes().iter().filter(|r| !self.foreign.contains(&r.id));
        ours.find_map(|r| Some((r, self.not_original(r, self.world.get(&r.id)?.as_ref())?)))
    }

    /// Whether the group of the old cluster is in a route's action.
    pub fn attached(&self, route: &RouteStart, face: Option<&Face>) -> bool {
        let old = route.groups.get(&self.plan.strategy.from);
        face.zip(old).is_some_and(|(face, old)| face.weights.contains_key(old))
    }

    /// Why a route is not as at the goal, if it is not.
    pub fn not_goal(&self, route: &RouteStart, face: Option<&Face>) -> Option<String> {
        let shares = self.ruling(self.plan.strategy.steps.len())?;
        self.not_at(route, face, shares)
    }

    /// Why a route does not have these shares, and all else as it was, if so.
    pub fn not_at(&self, route: &RouteStart, face: Option<&Face>, shares: &Shares) -> Option<String> {
        let Some(face) = face else { return Some(format!("{} is gone", route.label)) };
        let before = &self.original[&route.id];
        let off = shares.iter().find(|(c, share)| (part(route, c, face) - f64::from(**share)).abs() >= 0.5);
        if let Some((cluster, share)) = off {
            return Some(format!("{}: {cluster} has {:.1} % instead of {share} %: {face:?}", route.label, part(route, cluster, face)));
        }
        others(route, before, face)
    }

    /// Why a route is not exactly as it was at the start, the plan's groups attached at 0 or not at all, if so.
    pub fn not_original(&self, route: &RouteStart, face: Option<&Face>) -> Option<String> {
        let Some(face) = face else { return Some(format!("{} is gone", route.label)) };
        let before = &self.original[&route.id];
        let carrying = |f: &Face| f.weights.iter().filter(|(_, w)| **w > 0).map(|(g, w)| (g.clone(), *w)).collect::<BTreeMap<_, _>>();
        let (was, is) = (carrying(before), carrying(face));
        let equal = if before.weights.len() == 1 { was.keys().eq(is.keys()) } else { was == is };
        if !equal {
            return Some(format!("{}: {is:?} instead of {was:?}", route.label));
        }
        others(route, before, face)
    }
}
