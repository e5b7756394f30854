//! The facts that a history has shown so far.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::{GateKind, Trigger};
use cutover::domain::run::event::{RouteStart, RunOutcome, Started, Write};
use cutover::domain::traffic::{RouteContent, RouteId, Split};
use cutover::plan::model::{Plan, Shares, StepKind};
use jiff::{SignedDuration, Timestamp};

use super::compare::{other_difference, share_of};
use super::hooks::HookFacts;
use crate::simulation::history::Verb;
use crate::simulation::route_actions::{self, RouteActions};

/// The result of the last read of a route.
#[derive(Debug, Clone)]
pub struct RouteReading {
    pub requested_at: Timestamp,
    pub at: Timestamp,
    pub live: Option<RouteContent>,
}

/// An earlier content of a route.
#[derive(Debug, Clone)]
pub struct PastContent {
    pub actions: RouteActions,
    /// The time at which the content was replaced. If the run knows of the change, the time at which the run learned of
    /// it.
    pub at: Timestamp,
    known: bool,
}

/// A rollback in stages.
#[derive(Debug, Clone)]
pub struct RampedRollback {
    /// The wait between two stages.
    pub every: SignedDuration,
    /// The stage that is being written or was written last, in percent of the way to the original shares.
    pub percent: u32,
    /// The last published stage, in percent.
    pub published: u32,
    /// The content of each route when the rollback began: in the simulated AWS, and as the run knew it.
    pub from: BTreeMap<RouteId, [Option<RouteActions>; 2]>,
}

/// A write that the journal announces.
#[derive(Debug, Clone)]
pub struct Intent {
    pub restore: bool,
    pub write: Write,
    pub durable: bool,
}

/// Everything that the checker knows about a run.
#[derive(Clone)]
pub struct Facts {
    pub plan: Plan,
    started: Option<Box<Started>>,
    /// The actions of the run's routes when the run started.
    pub original: BTreeMap<RouteId, RouteActions>,
    pub process: u32,
    pub verb: Verb,
    /// The last reading of each route by this process.
    pub seen: BTreeMap<RouteId, RouteReading>,
    /// The last successful reading of each route by this process.
    pub read: BTreeMap<RouteId, RouteReading>,
    pub health: BTreeMap<String, Vec<(Timestamp, Option<HealthCounts>)>>,
    /// The last time that the program changed each route in the simulated AWS.
    pub applied: BTreeMap<RouteId, Timestamp>,
    /// The earlier contents of each route.
    pub replaced: BTreeMap<RouteId, Vec<PastContent>>,
    /// For each route that was read as it was last set: the time since which this is so, and the process that read it.
    pub right: BTreeMap<RouteId, (Timestamp, u32)>,
    /// Routes whose last write AWS rejected.
    pub rejected: BTreeSet<RouteId>,
    /// The split of the last write to each route.
    pub set: BTreeMap<RouteId, Split>,
    /// Intents without an outcome.
    pub intents: BTreeMap<RouteId, Intent>,
    /// Routes that someone else has changed and the program has not written since.
    pub foreign: BTreeSet<RouteId>,
    pub step: usize,
    pub rollback: Option<(Trigger, Option<usize>)>,
    /// The rollback in stages, if the current rollback has stages.
    pub way: Option<RampedRollback>,
    /// The content of each route that the run last reported as read back.
    confirmed: BTreeMap<RouteId, RouteActions>,
    pub finished: Option<RunOutcome>,
    /// Whether `finalize --detach` is removing the old groups from the actions.
    pub detaching: bool,
    /// The foreign content of each route, as the run recorded it.
    drift: BTreeMap<RouteId, RouteActions>,
    /// The foreign content of each route for which an operator chose `--keep-live` or `--reassert`.
    agreed: BTreeMap<RouteId, RouteActions>,
    /// Routes that this process has written since it last read them.
    pub written: BTreeSet<RouteId>,
    /// Every split that each route was set to, and the split at the start.
    pub ours: BTreeMap<RouteId, Vec<Split>>,
    /// The process of each route that the run last accepted, where the weights are in the memory of a process.
    processes: BTreeMap<RouteId, String>,
    /// Routes of which a reading has shown the last change by someone else.
    noticed: BTreeSet<RouteId>,
    pub notices: Vec<String>,
    /// When the rollback began.
    pub since: Option<Timestamp>,
    /// Processes that have written and have not ended.
    pub alive: BTreeSet<u32>,
    pub run: Option<String>,
    /// The marker as this process last read it.
    pub marker: Option<(Timestamp, Result<Option<String>, ()>)>,
    /// The account that this process last read; `Err` if the read failed, `None` if the process did not read it.
    pub caller: Option<Result<String, ()>>,
    /// UIDs of clusters as this process read them.
    pub clusters: BTreeMap<String, String>,
    /// When the clock was last set forward. For the next process, everything before this time seems longer ago.
    pub hurried: Option<Timestamp>,
    /// The last gate that failed, and its target group.
    pub failed: Option<(GateKind, String)>,
    /// Facts about commands and hooks.
    pub hooks: HookFacts,
    /// Routes that this process has written since the rollback began.
    pub restored: BTreeSet<RouteId>,
    /// The content of each route in the simulated AWS.
    pub world: BTreeMap<RouteId, Option<RouteActions>>,
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
            processes: BTreeMap::new(),
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
            hooks: HookFacts::default(),
            restored: BTreeSet::new(),
            world: BTreeMap::new(),
        }
    }

    pub fn started(&self) -> Option<&Started> {
        self.started.as_deref()
    }

    /// Whether a route existed when the run started.
    pub fn existed(&self, id: &RouteId) -> bool {
        let others = self.started.as_ref().and_then(|s| s.other_routes.as_ref());
        self.routes().iter().any(|r| r.id == *id) || others.is_none_or(|others| others.contains(id))
    }

    /// Returns the routes of the run.
    pub fn routes(&self) -> &[RouteStart] {
        self.started.as_ref().map_or(&[], |s| s.routes.as_slice())
    }

    pub fn route(&self, id: &RouteId) -> Option<&RouteStart> {
        self.routes().iter().find(|r| r.id == *id)
    }

    /// Returns the shares that a step of the plan asks for, if it is a share step.
    pub fn shares(&self, step: usize) -> Option<&Shares> {
        if let StepKind::Shares(shares) = self.kind(step)? { Some(shares) } else { None }
    }

    /// Returns the kind of a step of the plan.
    pub fn kind(&self, step: usize) -> Option<&StepKind> {
        self.plan.strategy.steps.iter().find(|s| s.number == step).map(|s| &s.kind)
    }

    /// Returns the shares that apply at a step: those of the last share step up to this step, else those of the start.
    pub fn shares_at(&self, step: usize) -> Option<&Shares> {
        (1..=step).rev().find_map(|s| self.shares(s)).or(self.plan.strategy.start.as_ref())
    }

    /// Returns the rollback in stages if its last stage has not begun.
    pub fn unfinished_stage(&self) -> Option<&RampedRollback> {
        self.way.as_ref().filter(|way| way.percent < 100)
    }

    /// Returns the groups that carried a route's traffic at the start.
    pub fn original_groups<'a>(&'a self, route: &'a RouteStart) -> impl Iterator<Item = &'a String> {
        let before = &self.original[&route.id];
        route.groups.values().filter(|group| before.weights.get(*group).is_some_and(|weight| *weight > 0))
    }

    /// Returns what this process last read on a route, if the run never wrote it and no operator accepted it.
    pub fn foreign_content(&self, route: &RouteId) -> Option<&RouteContent> {
        let live = self.seen.get(route)?.live.as_ref()?;
        let ours = self.ours.get(route)?;
        let known = live.forward_split().is_some_and(|split| ours.iter().any(|own| own.equivalent(split)));
        let known = known && !self.is_reloaded(route, live);
        (!known && self.agreed.get(route).is_none_or(|actions| *actions != route_actions::from_content(live)))
            .then_some(live)
    }

    /// Whether a reading is from another process than the one that the run last accepted.
    pub fn is_reloaded(&self, route: &RouteId, live: &RouteContent) -> bool {
        live.process.is_some() && live.process.as_ref() != self.processes.get(route)
    }

    /// Whether an operator chose `--keep-live` or `--reassert` for what someone else put on a route.
    pub fn agreed(&self, route: &RouteId) -> bool {
        self.agreed.contains_key(route)
    }

    /// Returns the routes on which this process read content that is not the run's.
    pub fn foreign_routes(&self) -> impl Iterator<Item = &RouteId> {
        self.seen.keys().filter(|id| self.foreign_content(id).is_some())
    }

    /// Whether someone else changed a route and no reading has shown the change, so that the program cannot know it.
    pub fn has_unseen_change(&self, route: &RouteId) -> bool {
        self.foreign.contains(route) && !self.noticed.contains(route)
    }

    /// Returns a route that is not as it was at the start, and why. Ignores routes that someone else changed.
    pub fn unrestored_route(&self) -> Option<(&RouteStart, String)> {
        let mut ours = self.routes().iter().filter(|r| !self.foreign.contains(&r.id));
        ours.find_map(|r| Some((r, self.not_original(r, self.world.get(&r.id)?.as_ref())?)))
    }

    /// Whether the group of the old cluster is in a route's action.
    pub fn attached(&self, route: &RouteStart, actions: Option<&RouteActions>) -> bool {
        let old = route.groups.get(&self.plan.strategy.from);
        actions.zip(old).is_some_and(|(actions, old)| actions.weights.contains_key(old))
    }

    /// Returns why a route does not have the shares of the last step, if it does not.
    pub fn not_goal(&self, route: &RouteStart, actions: Option<&RouteActions>) -> Option<String> {
        let shares = self.shares_at(self.plan.strategy.steps.len())?;
        self.not_at(route, actions, shares)
    }

    /// Returns why a route does not have these shares with everything else unchanged; `None` if it has.
    pub fn not_at(&self, route: &RouteStart, actions: Option<&RouteActions>, shares: &Shares) -> Option<String> {
        let Some(actions) = actions else { return Some(format!("{} does not exist", route.label)) };
        let before = &self.original[&route.id];
        let off = shares.iter().find(|(c, share)| (share_of(route, c, actions) - f64::from(**share)).abs() >= 0.5);
        if let Some((cluster, share)) = off {
            return Some(format!(
                "{}: {cluster} has {:.1} % instead of {share} %: {actions:?}",
                route.label,
                share_of(route, cluster, actions)
            ));
        }
        other_difference(route, before, actions)
    }

    /// Returns why a route is not exactly as it was at the start; `None` if it is. The plan's groups may be attached
    /// with weight 0.
    pub fn not_original(&self, route: &RouteStart, actions: Option<&RouteActions>) -> Option<String> {
        let Some(actions) = actions else { return Some(format!("{} does not exist", route.label)) };
        let before = &self.original[&route.id];
        let carrying = |f: &RouteActions| {
            f.weights.iter().filter(|(_, w)| **w > 0).map(|(g, w)| (g.clone(), *w)).collect::<BTreeMap<_, _>>()
        };
        let (was, is) = (carrying(before), carrying(actions));
        let equal = if before.weights.len() == 1 { was.keys().eq(is.keys()) } else { was == is };
        if !equal {
            return Some(format!("{}: weights {is:?} instead of {was:?}", route.label));
        }
        other_difference(route, before, actions)
    }
}
