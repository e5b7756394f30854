//! A run at one moment, as plain values: what the dashboard and `status` show, and what `status --output json` prints.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::names::Names;
use crate::domain::decide;
use crate::domain::decide::rival;
use crate::domain::health::Counts;
use crate::domain::run::event::{Freeze, Outcome, Stop, Wait, WaitReason};
use crate::domain::run::state::{self, Phase, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{ClusterName, Content, shares};
use crate::plan::model::Plan;
use crate::port::store::Look;

/// A sign of life older than this is none.
const ALIVE: SignedDuration = SignedDuration::from_secs(60);

/// A run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// When this was true.
    pub now: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// The current step, or the next one; from 1.
    pub step: usize,
    /// Every step in the plan's words.
    pub steps: Vec<String>,
    /// Who paused it, and why.
    pub paused: Option<Paused>,
    /// Why nothing is raised.
    pub frozen: Option<Frozen>,
    /// Why it goes back, or went.
    pub rollback: Option<String>,
    /// The old groups are out of the actions, or are being taken out: nothing leads back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// Why the last process left it.
    pub stopped: Option<Stop>,
    /// Routes that share the same shares, the largest set first.
    pub traffic: Vec<Split>,
    /// Routes with a write whose effect is not known yet.
    pub open: Vec<String>,
    /// Routes that someone else changed.
    pub drift: Vec<Drift>,
    /// Rules that someone made since the start and that forward to the old groups; the run does not move them.
    pub appeared: Vec<String>,
    /// The plan's target groups.
    pub health: Vec<Health>,
    /// What it waits for.
    pub waits: Vec<Wait>,
    /// Could the clusters of the start take it all again?
    pub way_back: Vec<Back>,
    /// Who looks after it.
    pub guard: Guard,
    /// Whether verbs typed elsewhere reach it: not so a rehearsal, which lives in memory.
    #[serde(skip)]
    pub reachable: bool,
    /// The command that puts the traffic back where no journal is left to find the run by.
    #[serde(skip)]
    pub without_journal: Option<String>,
}

/// A person's pause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paused {
    /// By whom.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frozen {
    /// Its kind.
    pub reason: Freeze,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Routes with equal shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// Percent of the managed part, `from` first, then `to`, then the others; empty: the plan's groups carry nothing there.
    pub shares: Vec<(ClusterName, f64)>,
    /// The routes' labels.
    pub routes: Vec<String>,
    /// How many of them have group stickiness.
    pub sticky: usize,
}

/// A route that someone else changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Its label.
    pub route: String,
    /// What changed, in words.
    pub change: String,
    /// Who probably did it, in words.
    pub by: String,
    /// Whether it takes traffic back to where it was at the start.
    pub homeward: bool,
    /// What keeps the tool that did it from doing it again, where a tool probably did.
    pub advice: Option<String>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub group: String,
    /// Its targets when last seen, if they were.
    pub targets: Option<Counts>,
    /// Why it cannot be read at present.
    pub unreadable: Option<String>,
}

/// The way back to a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Back {
    /// The cluster.
    pub cluster: ClusterName,
    /// Healthy targets now; `None`: not known.
    pub healthy: Option<u32>,
    /// Healthy targets at the start.
    pub baseline: u32,
}

/// Who looks after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Guard {
    /// A process does.
    Watched {
        /// `alice@mac`.
        by: String,
        /// Its last look.
        at: Timestamp,
        /// Seconds from one of its looks to the next, where it says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        every: Option<u64>,
    },
    /// Nobody does.
    Unguarded {
        /// Since when.
        since: Timestamp,
    },
    /// The run is over, nobody needs to.
    Over,
}

impl View {
    /// Puts together what is known. Without a watch, shares are those last confirmed, and health is not known. The guard is the run's owner as of
    /// the watch's last look; [`View::seen_by`] replaces it.
    pub fn of(plan: &Plan, state: &State, watch: Option<&Watch>, waits: &[Wait], now: Timestamp) -> Self {
        let names = Names::of(&state.started);
        let label = |r: &Route| names.route(&r.start.id);
        let look = watch.and_then(|w| w.last_look);
        let newer = decide::newer::wait(plan, state).filter(|_| state.finished.is_none());
        Self {
            run: state.run.clone(),
            plan: state.started.plan.clone(),
            now,
            phase: state.phase,
            outcome: state.finished,
            step: state.step,
            steps: plan.strategy.steps.iter().map(decide::label).collect(),
            paused: state.paused.clone().map(|state::Paused { by, why }| Paused { by, reason: why }),
            frozen: state.frozen.clone().map(|state::Frozen { reason, message, since }| Frozen {
                reason,
                message,
                since,
            }),
            rollback: state.rollback.as_ref().map(|r| r.cause.clone()),
            detached: state.detach.is_some(),
            stopped: state.stopped,
            traffic: traffic(plan, state, watch, &names),
            open: state.routes.values().filter(|r| r.open.is_some()).map(label).collect(),
            drift: state.drifted().map(|r| drift(r, &names)).collect(),
            appeared: state.newcomers.values().map(|start| start.label.clone()).collect(),
            health: state.started.groups.keys().map(|arn| health(arn, state, watch)).collect(),
            waits: newer
                .into_iter()
                .chain(waits.iter().filter(|wait| wait.reason != WaitReason::Newer).cloned())
                .collect(),
            way_back: watch.map_or_else(Vec::new, |w| decide::way_back(state, w).into_iter().map(Back::from).collect()),
            guard: guard(state, look.map(|at| (state.started.owner.clone(), at)), now),
            reachable: true,
            without_journal: None,
        }
    }

    /// Says who guards by the last sign of life in the store: one that is over a minute old, or that said goodbye, guards nothing.
    #[must_use]
    pub fn seen_by(mut self, look: Option<&Look>) -> Self {
        if self.guard != Guard::Over {
            self.guard = match look {
                Some(l) if l.watching && self.now.duration_since(l.at) <= ALIVE => {
                    Guard::Watched { by: l.owner.clone(), at: l.at, every: l.every }
                }
                Some(l) => Guard::Unguarded { since: l.at },
                None => self.guard,
            };
        }
        self
    }

    /// The current step's number and how many there are; after the last one it is that one.
    pub fn place(&self) -> (usize, usize) {
        (self.step.min(self.steps.len()), self.steps.len())
    }
}

impl From<decide::WayBack> for Back {
    fn from(way: decide::WayBack) -> Self {
        Self { cluster: way.cluster, healthy: way.healthy, baseline: way.baseline }
    }
}

/// The word for a phase, as `status --output json` and the metrics spell it.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready => "ready",
        Phase::Moving => "moving",
        Phase::Baking => "baking",
        Phase::Awaiting => "awaiting",
        Phase::Working => "working",
        Phase::RollingBack => "rollingBack",
        Phase::Detaching => "detaching",
        Phase::Finished => "finished",
    }
}

fn guard(state: &State, look: Option<(String, Timestamp)>, now: Timestamp) -> Guard {
    match look {
        _ if state.finished.is_some() => Guard::Over,
        Some((by, at)) if now.duration_since(at) <= ALIVE => Guard::Watched { by, at, every: None },
        Some((_, since)) => Guard::Unguarded { since },
        None => Guard::Unguarded { since: state.last },
    }
}

/// Routes by their shares; deleted rules carry nothing and are under drift.
fn traffic(plan: &Plan, state: &State, watch: Option<&Watch>, names: &Names) -> Vec<Split> {
    let mut splits: BTreeMap<String, Split> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.gone()) {
        let content = live(route, watch);
        let managed: Vec<_> = route.start.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
        let shares = shares::read(&content.split, &managed).map_or_else(Vec::new, |read| ordered(plan, read));
        let split =
            splits.entry(format!("{shares:?}")).or_insert_with(|| Split { shares, routes: Vec::new(), sticky: 0 });
        split.routes.push(names.route(&route.start.id));
        split.sticky += usize::from(content.sticky().is_some());
    }
    let mut splits: Vec<_> = splits.into_values().collect();
    splits.sort_by_key(|s| std::cmp::Reverse(s.routes.len()));
    splits
}

/// What is there: as read since the last event about it, else as the drift says, else as last confirmed.
fn live<'a>(route: &'a Route, watch: Option<&'a Watch>) -> &'a Content {
    let read = watch.and_then(|w| w.routes.get(&route.start.id)).filter(|r| r.at >= route.touched);
    let read = read.and_then(|r| r.value.as_ref().ok());
    read.or(route.changed()).unwrap_or(&route.known)
}

fn ordered(plan: &Plan, read: BTreeMap<ClusterName, f64>) -> Vec<(ClusterName, f64)> {
    let place = |c: &str| [&plan.strategy.from, &plan.strategy.to].iter().position(|n| *n == c).unwrap_or(2);
    let mut shares: Vec<_> = read.into_iter().filter(|(c, share)| *share > 0.0 || place(c) < 2).collect();
    shares.sort_by_key(|(c, _)| place(c));
    shares
}

fn drift(route: &Route, names: &Names) -> Drift {
    let change = match route.changed() {
        Some(live) => names.change(&route.start.id, &route.known, live).unwrap_or_else(|| "is again as it was".into()),
        None => "the rule was deleted".into(),
    };
    let homeward = rival::homeward(route);
    let advice = route.start.owners.first().map(|owner| owner.tool.advice());
    Drift { route: names.route(&route.start.id), change, by: rival::suspect(route), homeward, advice }
}

fn health(arn: &str, state: &State, watch: Option<&Watch>) -> Health {
    let start = state.started.groups.get(arn);
    Health {
        cluster: start.map_or_else(String::new, |g| g.cluster.clone()),
        group: start.map_or_else(String::new, |g| g.name.clone()),
        targets: watch.and_then(|w| w.of(arn).back()).map(|s| s.counts),
        unreadable: watch.and_then(|w| w.unreadable.get(arn)).map(ToString::to_string),
    }
}
