//! The facts that a history has shown so far.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::{GateKind, Trigger};
use cutover::domain::run::event::{RouteStart, RunOutcome, Started, Write};
use cutover::domain::traffic::{RouteContent, RouteId, Split};
use cutover::plan::model::{Plan, Shares, StepKind};
use jiff::{SignedDuration, Timestamp};

use super::deeds::Deeds;
use super::parts::{others, part};
use crate::simulation::face::{self, Face};
use crate::simulation::history::Verb;

/// A route as it was last read.
#[derive(Debug, Clone)]
pub struct Sight {
    pub asked: Timestamp,
    pub at: Timestamp,
    pub live: Option<RouteContent>,
}

/// An earlier content of a route.
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
    /// The last reading of each route by this process.
    pub seen: BTreeMap<RouteId, Sight>,
    /// The last successful reading of each route by this process.
    pub read: BTreeMap<RouteId, Sight>,
    pub health: BTreeMap<String, Vec<(Timestamp, Option<HealthCounts>)>>,
    /// The last time that each route was written in the world, by us.
    pub applied: BTreeMap<RouteId, Timestamp>,
    /// The earlier contents of each route.
    pub replaced: BTreeMap<RouteId, Vec<Past>>,
    /// Since when each route has been read as it was last set, and by which process.
    pub right: BTreeMap<RouteId, (Timestamp, u32)>,
    /// Routes whose last write AWS rejected.
    pub rejected: BTreeSet<RouteId>,
    /// The split of the last write to each route.
    pub set: BTreeMap<RouteId, Split>,
    /// Open intents.
    pub intents: BTreeMap<RouteId, Intent>,
    /// Routes that someone else has changed, and nobody gave up.
    pub foreign: BTreeSet<RouteId>,
    pub step: usize,
    pub rollback: Option<(Trigger, Option<usize>)>,
    /// The way back, where it is one in parts.
    pub way: Option<Way>,
    /// The content of each route that the run last reported as read back.
    confirmed: BTreeMap<RouteId, Face>,
    pub finished: Option<RunOutcome>,
    /// The old groups are taken out of the actions.
    pub detaching: bool,
    /// The foreign content of a route, as the run recorded it.
    drift: BTreeMap<RouteId, Face>,
    /// The foreign content of a route for which an operator chose `--keep-live` or `--reassert`.
    agreed: BTreeMap<RouteId, Face>,
    /// Routes that this process has written since it last read them.
    pub written: BTreeSet<RouteId>,
    /// Everything that each route was ever to be set to, and what it was at the start.
    pub ours: BTreeMap<RouteId, Vec<Split>>,
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
    pub failed: Option<(GateKind, String)>,
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
            rejected: BTreeSet::new(),
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

    pub fn route(&self, id: &RouteId) -> Option<&RouteStart> {
        self.routes().iter().find(|r| r.id == *id)
    }

    /// The shares that a step of the plan asks for, if it is a share step.
    pub fn shares(&self, step: usize) -> Option<&Shares> {
        if let StepKind::Shares(shares) = self.kind(step)? { Some(shares) } else { None }
    }

    /// The kind of a step of the plan.
    pub fn kind(&self, step: usize) -> Option<&StepKind> {
        self.plan.strategy.steps.iter().find(|s| s.number == step).map(|s| &s.kind)
    }

    /// The shares that rule at a step: those of the last share step up to it, else those of the start.
    pub fn ruling(&self, step: usize) -> Option<&Shares> {
        (1..=step).rev().find_map(|s| self.shares(s)).or(self.plan.strategy.start.as_ref())
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

    /// What this process last saw on a route, where that is nothing that we ever put there, nor what a person knows of.
    pub fn stranger(&self, route: &RouteId) -> Option<&RouteContent> {
        let live = self.seen.get(route)?.live.as_ref()?;
        let ours = self.ours.get(route)?;
        let known = live.forward_split().is_some_and(|split| ours.iter().any(|own| own.equivalent(split)));
        (!known && self.agreed.get(route).is_none_or(|face| *face != face::typed(live))).then_some(live)
    }

    /// Whether a person said what is to become of what someone else put on a route.
    pub fn agreed(&self, route: &RouteId) -> bool {
        self.agreed.contains_key(route)
    }

    /// The routes on which this process saw something that is not ours.
    pub fn strange(&self) -> impl Iterator<Item = &RouteId> {
        self.seen.keys().filter(|id| self.stranger(id).is_some())
    }

    /// Whether someone else changed a route, and no reading has shown that since: nobody could know.
    pub fn unseen(&self, route: &RouteId) -> bool {
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
            return Some(format!(
                "{}: {cluster} has {:.1} % instead of {share} %: {face:?}",
                route.label,
                part(route, cluster, face)
            ));
        }
        others(route, before, face)
    }

    /// Why a route is not exactly as it was at the start, the plan's groups attached at 0 or not at all, if so.
    pub fn not_original(&self, route: &RouteStart, face: Option<&Face>) -> Option<String> {
        let Some(face) = face else { return Some(format!("{} is gone", route.label)) };
        let before = &self.original[&route.id];
        let carrying = |f: &Face| {
            f.weights.iter().filter(|(_, w)| **w > 0).map(|(g, w)| (g.clone(), *w)).collect::<BTreeMap<_, _>>()
        };
        let (was, is) = (carrying(before), carrying(face));
        let equal = if before.weights.len() == 1 { was.keys().eq(is.keys()) } else { was == is };
        if !equal {
            return Some(format!("{}: {is:?} instead of {was:?}", route.label));
        }
        others(route, before, face)
    }
}
