//! The view of a run at one moment, as plain values: the dashboard and `status` show it, `status --output json` prints
//! it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::names::Names;
use crate::domain::decide;
use crate::domain::decide::{drift_cause, drift_text};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{FreezeReason, RunOutcome, StopReason, Wait, WaitReason};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{self, Phase, Route, State};
use crate::domain::traffic::{ClusterName, RouteContent, shares};
use crate::plan::model::Plan;
use crate::port::store::Heartbeat;

/// A heartbeat older than this does not count.
const HEARTBEAT_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// A run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The time of this view.
    pub now: Timestamp,
    /// Its phase.
    pub phase: Phase,
    /// How it ended, if it did.
    pub outcome: Option<RunOutcome>,
    /// The current step, or the next one, counted from 1.
    pub step: usize,
    /// The labels of all steps.
    pub steps: Vec<String>,
    /// Who paused it, and why.
    pub paused: Option<PauseView>,
    /// Why the run is frozen.
    pub frozen: Option<FreezeView>,
    /// Why it is, or was, rolled back.
    pub rollback_cause: Option<String>,
    /// Whether the old groups are, or are being, detached from the routes: a rollback is not possible any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Why the last process stopped.
    pub stopped: Option<StopReason>,
    /// Routes grouped by equal shares, the largest group first.
    pub traffic: Vec<RouteGroup>,
    /// Routes with a write whose effect is not known yet.
    pub unconfirmed: Vec<String>,
    /// Routes that someone else changed.
    pub drift: Vec<DriftView>,
    /// Rules that someone created after the start and that forward to the old groups; the run does not move them.
    pub new_rules: Vec<String>,
    /// The plan's target groups.
    pub health: Vec<GroupHealth>,
    /// Its wait reasons.
    pub waits: Vec<Wait>,
    /// Whether the original clusters could take all traffic again.
    pub way_back: Vec<WayBackView>,
    /// Who guards it.
    pub guard: Guard,
    /// Whether commands from another terminal reach it; `false` for a rehearsal, which is only in memory.
    #[serde(skip)]
    pub reachable: bool,
    /// The command that rolls back without a journal, for a run whose journal is only in memory.
    #[serde(skip)]
    pub without_journal: Option<String>,
}

/// A pause by an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PauseView {
    /// By whom.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FreezeView {
    /// Its kind.
    pub reason: FreezeReason,
    /// The reason as text.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Routes with equal shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteGroup {
    /// Percent of the managed part, `from` first, then `to`, then the others; empty if the plan's groups have no
    /// weight.
    pub shares: Vec<(ClusterName, f64)>,
    /// The routes' labels.
    pub routes: Vec<String>,
    /// How many of them have group stickiness.
    pub sticky: usize,
}

/// A route that someone else changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftView {
    /// Its label.
    pub route: String,
    /// The kind of change.
    pub kind: DriftKind,
    /// What changed, as text.
    pub change: String,
    /// Whether an operator accepted it (`resume --keep-live`).
    pub accepted: bool,
    /// Who probably did it, as text.
    pub by: String,
    /// Whether the change restores original shares.
    pub restores_original: bool,
    /// How to stop the tool that probably did it from doing it again.
    pub advice: Option<String>,
}

/// What someone else did to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftKind {
    /// Changed its shares or actions.
    Changed,
    /// Changed its conditions: it handles other requests.
    Conditions,
    /// Deleted its rule.
    Deleted,
    /// Deleted its rule, and created another one with its conditions.
    Replaced,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupHealth {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub group: String,
    /// Its targets at the last reading, if there is one.
    pub targets: Option<HealthCounts>,
    /// Why targets are unused, in AWS's words, if some are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<String>,
    /// Why it cannot be read at the moment.
    pub unreadable: Option<String>,
}

/// The capacity of a cluster on the way back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WayBackView {
    /// The cluster.
    pub cluster: ClusterName,
    /// Healthy targets now; `None`: unknown.
    pub healthy: Option<u32>,
    /// Healthy targets at the start.
    pub baseline: u32,
}

/// Who guards a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Guard {
    /// A process guards it.
    Watched {
        /// `alice@mac`.
        by: String,
        /// Its last observation.
        at: Timestamp,
        /// Seconds between two observations, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        every: Option<u64>,
    },
    /// No process guards it.
    Unguarded {
        /// Since when.
        since: Timestamp,
    },
    /// The run is finished and needs no guard.
    Over,
}

impl RunView {
    /// Builds the view. Without a watch, the shares are the last confirmed ones and health is unknown. The guard is the
    /// run's owner at the watch's last observation; [`RunView::with_heartbeat`] replaces it.
    pub fn of(plan: &Plan, state: &State, watch: Option<&Observed>, waits: &[Wait], now: Timestamp) -> Self {
        let names = Names::of(&state.started);
        let label = |r: &Route| names.route(&r.start.id);
        let look = watch.and_then(|w| w.last_full);
        let newer = decide::newer::wait(plan, state).filter(|_| state.finished.is_none());
        Self {
            run: state.run.clone(),
            plan: state.started.plan.clone(),
            now,
            phase: state.phase,
            outcome: state.finished,
            step: state.step,
            steps: plan.strategy.steps.iter().map(decide::label).collect(),
            paused: state.paused.clone().map(|state::Paused { by, why }| PauseView { by, reason: why }),
            frozen: state.frozen.clone().map(|state::Frozen { reason, message, since }| FreezeView {
                reason,
                message,
                since,
            }),
            rollback_cause: state.rollback.as_ref().map(|r| r.cause.clone()),
            retired: state.retirement.is_some(),
            stopped: state.stopped,
            traffic: traffic(plan, state, watch, &names),
            unconfirmed: state.routes.values().filter(|r| r.open_writes.is_some()).map(label).collect(),
            drift: state.routes.values().flat_map(|r| drift(state, r, &names)).collect(),
            new_rules: state.newcomers.values().map(|start| start.label.clone()).collect(),
            health: state.started.groups.keys().map(|arn| health(arn, state, watch)).collect(),
            waits: newer
                .into_iter()
                .chain(waits.iter().filter(|wait| wait.reason != WaitReason::Newer).cloned())
                .collect(),
            way_back: watch
                .map_or_else(Vec::new, |w| decide::way_back(state, w).into_iter().map(WayBackView::from).collect()),
            guard: guard(state, look.map(|at| (state.started.owner.clone(), at)), now),
            reachable: true,
            without_journal: None,
        }
    }

    /// Sets the guard by the last heartbeat in the store. A heartbeat that is over a minute old, or that says that its
    /// process stopped, does not count.
    #[must_use]
    pub fn with_heartbeat(mut self, look: Option<&Heartbeat>) -> Self {
        if self.guard != Guard::Over {
            self.guard = match look {
                Some(l) if l.guarding && self.now.duration_since(l.observed_at) <= HEARTBEAT_TIMEOUT => {
                    Guard::Watched { by: l.owner.clone(), at: l.observed_at, every: l.interval_seconds }
                }
                Some(l) => Guard::Unguarded { since: l.observed_at },
                None => self.guard,
            };
        }
        self
    }

    /// The current step's number and the number of steps. After the last step it stays at that step.
    pub fn step_of(&self) -> (usize, usize) {
        (self.step.min(self.steps.len()), self.steps.len())
    }
}

impl From<decide::WayBack> for WayBackView {
    fn from(way: decide::WayBack) -> Self {
        Self { cluster: way.cluster, healthy: way.healthy, baseline: way.baseline }
    }
}

/// The name of a phase in `status --output json` and in the metrics.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready => "ready",
        Phase::Shifting => "shifting",
        Phase::Baking => "baking",
        Phase::AwaitingApproval => "awaitingApproval",
        Phase::RunningCommand => "runningCommand",
        Phase::RollingBack => "rollingBack",
        Phase::Retiring => "retiring",
        Phase::Finished => "finished",
    }
}

fn guard(state: &State, look: Option<(String, Timestamp)>, now: Timestamp) -> Guard {
    match look {
        _ if state.finished.is_some() => Guard::Over,
        Some((by, at)) if now.duration_since(at) <= HEARTBEAT_TIMEOUT => Guard::Watched { by, at, every: None },
        Some((_, since)) => Guard::Unguarded { since },
        None => Guard::Unguarded { since: state.last_record_at },
    }
}

/// Routes grouped by their shares, without deleted rules, which are in `drift`.
fn traffic(plan: &Plan, state: &State, watch: Option<&Observed>, names: &Names) -> Vec<RouteGroup> {
    let mut splits: BTreeMap<String, RouteGroup> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.is_deleted()) {
        let content = live_content(route, watch);
        let managed: Vec<_> = route.start.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
        let shares = shares::live_shares(&content.split, &managed).map_or_else(Vec::new, |read| ordered(plan, read));
        let split =
            splits.entry(format!("{shares:?}")).or_insert_with(|| RouteGroup { shares, routes: Vec::new(), sticky: 0 });
        split.routes.push(names.route(&route.start.id));
        split.sticky += usize::from(content.sticky().is_some());
    }
    let mut splits: Vec<_> = splits.into_values().collect();
    splits.sort_by_key(|s| std::cmp::Reverse(s.routes.len()));
    splits
}

/// The live content of a route: as read since its last event, else as the drift says, else as last confirmed.
fn live_content<'a>(route: &'a Route, watch: Option<&'a Observed>) -> &'a RouteContent {
    let read = watch.and_then(|w| w.routes.get(&route.start.id)).filter(|r| r.at >= route.last_event_at);
    let read = read.and_then(|r| r.value.as_ref().ok());
    read.or(route.drifted_content()).unwrap_or(&route.confirmed)
}

fn ordered(plan: &Plan, read: BTreeMap<ClusterName, f64>) -> Vec<(ClusterName, f64)> {
    let place = |c: &str| [&plan.strategy.from, &plan.strategy.to].iter().position(|n| *n == c).unwrap_or(2);
    let mut shares: Vec<_> = read.into_iter().filter(|(c, share)| *share > 0.0 || place(c) < 2).collect();
    shares.sort_by_key(|(c, _)| place(c));
    shares
}

/// What someone else did to a route: its shares or its rule, and its conditions.
fn drift(state: &State, route: &Route, names: &Names) -> Vec<DriftView> {
    let view = |kind, change| DriftView {
        route: names.route(&route.start.id),
        kind,
        change,
        accepted: false,
        by: drift_cause::likely_cause(route),
        restores_original: drift_cause::towards_start(route),
        advice: route.start.owners.first().map(|owner| owner.tool.advice()),
    };
    let shares = match (&route.drift, route.drifted_content()) {
        (None, _) => None,
        (Some(_), Some(live)) => {
            let change = names.change(&route.start.id, &route.confirmed, live);
            Some(view(DriftKind::Changed, change.unwrap_or_else(|| "it is as before again".into())))
        }
        (Some(_), None) => {
            let replaced = state.replacements(route).any(|rule| state.is_undecided(rule));
            let kind = if replaced { DriftKind::Replaced } else { DriftKind::Deleted };
            Some(DriftView {
                accepted: route.deletion_accepted && !replaced,
                ..view(kind, drift_text::deletion(state, route))
            })
        }
    };
    let conditions = drift_text::conditions(route).map(|change| view(DriftKind::Conditions, change));
    shares.into_iter().chain(conditions).collect()
}

fn health(arn: &str, state: &State, watch: Option<&Observed>) -> GroupHealth {
    let start = state.started.groups.get(arn);
    let sample = watch.and_then(|w| w.samples_of(arn).back());
    GroupHealth {
        cluster: start.map_or_else(String::new, |g| g.cluster.clone()),
        group: start.map_or_else(String::new, |g| g.name.clone()),
        targets: sample.map(|s| s.counts),
        unused: sample.and_then(|s| s.unused.clone()),
        unreadable: watch.and_then(|w| w.unreadable.get(arn)).map(ToString::to_string),
    }
}
