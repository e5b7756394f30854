//! The view of a run at one moment, as plain values. The dashboard and `status` show the view, and `status --output
//! json` prints it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::names::{Names, plan_argument};
use crate::base::number::percent;
use crate::domain::decide;
use crate::domain::decide::{drift_cause, drift_text};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{FreezeReason, NotMoved, RunOutcome, StopReason, Wait, WaitReason};
use crate::domain::run::observation::{Marker, Observed};
use crate::domain::run::script_use::ScriptUse;
use crate::domain::run::state::{self, Phase, Route, State};
use crate::domain::traffic::{ClusterName, RouteContent, Unreadable, shares};
use crate::domain::view::gates::{self, GateView};
use crate::domain::view::hooks::{self, HookView};
use crate::domain::view::hours::{IgnoredHoursView, next_of_run};
use crate::domain::view::put_back::is_put_back;
use crate::domain::waves::WaveView;
use crate::plan::model::Plan;
use crate::port::store::{Heartbeat, OldestHealth};

/// The age at which a heartbeat no longer counts.
const HEARTBEAT_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// The sentence about a run whose traffic someone else put back.
pub const PUT_BACK: &str = "someone else put the traffic of this run back (a rollback from another machine, \
                            break-glass.sh, a tool, or by hand): every route has its shares from before the run";

/// The state of a run at one moment, for people and for JSON output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The plan file for commands; `PLAN` if it is not known; `None` if the run has no plan.
    #[serde(skip)]
    pub plan_file: Option<String>,
    /// The time of this view.
    pub now: Timestamp,
    /// The phase of the run.
    pub phase: Phase,
    /// How the run ended; `None` if the run is unfinished.
    pub outcome: Option<RunOutcome>,
    /// The current step, or the next one, counted from 1.
    pub step: usize,
    /// The first step of the run; steps before it were not done by this run.
    #[serde(skip)]
    pub from_step: usize,
    /// The labels of all steps.
    pub steps: Vec<String>,
    /// The pause by an operator, with the reason.
    pub paused: Option<PauseView>,
    /// Why the run is frozen.
    pub frozen: Option<FreezeView>,
    /// Why the run is, or was, rolled back.
    pub rollback_cause: Option<String>,
    /// Whether the old groups are being or were detached from the routes. A rollback is then no longer possible.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Whether clients with a cookie for the new cluster stay there after the rollback of a finished run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sticky_clients_left: bool,
    /// The earlier step at whose shares an abort ended (`abort --to-step`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_to: Option<usize>,
    /// Why the last process stopped.
    pub stopped: Option<StopReason>,
    /// Routes grouped by equal shares, the largest group first.
    pub traffic: Vec<RouteGroup>,
    /// Why the routes cannot be read, so that `traffic` has the last shares in the journal; `None` if the routes were
    /// read, or no reading was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_traffic: Option<UnreadTraffic>,
    /// The sign that someone else restored the traffic: every route has its shares from before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put_back: Option<PutBack>,
    /// Routes with a write whose effect is not known yet.
    pub unconfirmed: Vec<String>,
    /// Routes that someone else changed.
    pub drift: Vec<DriftView>,
    /// Rules that someone created after the start and that forward to the old groups; the run does not move them.
    pub new_rules: Vec<String>,
    /// The routes that the plan selects and that this build cannot represent; the plan accepts that the run does not
    /// move them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_moved: Vec<NotMoved>,
    /// The health of the plan's target groups.
    pub health: Vec<GroupHealth>,
    /// The plan's metric gates and their verdicts, while the run is unfinished.
    pub gates: Vec<GateView>,
    /// The commands and hooks that have started, of the current step, the rollback and the end of the run.
    pub hooks: Vec<HookView>,
    /// The kinds of the plan's notification targets.
    pub notifications: Vec<String>,
    /// How the plan's hours delay the next step to which they apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// The operator's decision to ignore the plan's hours, until the step of this decision is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored_hours: Option<IgnoredHoursView>,
    /// The reasons why the run waits now.
    pub waits: Vec<Wait>,
    /// Whether the healthy targets of each original cluster could take all traffic again.
    pub way_back: Vec<WayBackView>,
    /// The waves of the plan, in order, with their runs in the current migration; empty without waves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveView>,
    /// The process that guards the run.
    pub guard: Guard,
    /// The marker of another run on a load balancer of this run: run, owner, since; `None` if no marker was read there,
    /// or the marker is this run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_owner: Option<String>,
    /// Whether commands from another terminal reach the run. `false` for a rehearsal, which exists only in memory.
    #[serde(skip)]
    pub reachable: bool,
    /// The command that rolls back a run whose journal exists only in memory; `None` for other runs.
    #[serde(skip)]
    pub without_journal: Option<String>,
}

/// A pause that an operator requested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PauseView {
    /// The operator who paused the run.
    pub by: String,
    /// The reason for the pause; may be empty.
    pub reason: String,
}

/// A freeze: no shares are raised until the reason goes away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FreezeView {
    /// The kind of reason for the freeze.
    pub reason: FreezeReason,
    /// The reason as text.
    pub message: String,
    /// When the freeze began.
    pub since: Timestamp,
}

/// A group of routes with equal shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteGroup {
    /// Percent of the managed part by cluster: `from` first, then `to`, then the others. Empty if the plan's groups
    /// have no weight.
    pub shares: Vec<(ClusterName, f64)>,
    /// The labels of the routes.
    pub routes: Vec<String>,
    /// The groups outside the plan that get requests of these routes, in percent of all requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<(String, f64)>,
    /// How many of the routes have target group stickiness.
    pub sticky: usize,
}

impl RouteGroup {
    /// Says which part of the requests the shares are about; empty if no group outside the plan gets requests.
    pub fn outside_text(&self) -> String {
        if self.outside.is_empty() {
            return String::new();
        }
        let others = self.outside.iter().map(|(group, share)| format!("{group} {} %", percent(*share)));
        let others = others.collect::<Vec<_>>().join(", ");
        if self.shares.is_empty() {
            return format!("; {others}");
        }
        let rest: f64 = self.outside.iter().map(|(_, share)| share).sum();
        format!(" of the plan's part, {} % of the requests; {others}", percent(100.0 - rest))
    }
}

/// The routes whose live shares cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadTraffic {
    /// The number of routes.
    pub routes: usize,
    /// Why the first of these routes cannot be read.
    pub why: String,
    /// The time of the last event of these routes in the journal.
    pub known_at: Timestamp,
}

/// The traffic of an unfinished run has its shares from before the run again, but the run did not write these shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutBack {
    /// When the break-glass script restored the traffic; `None` if no tag says who restored it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_script_at: Option<Timestamp>,
}

/// A change that someone else made to a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftView {
    /// The label of the route.
    pub route: String,
    /// The kind of change.
    pub kind: DriftKind,
    /// The change, as text.
    pub change: String,
    /// Whether an operator accepted the change (`resume --keep-live`).
    pub accepted: bool,
    /// The person or tool that probably made the change, as text.
    pub by: String,
    /// Whether the change restores the original shares.
    pub restores_original: bool,
    /// How to prevent the tool that probably made the change from making it again.
    pub advice: Option<String>,
}

/// The kind of change that someone else made to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftKind {
    /// The shares or the actions of the route changed.
    Changed,
    /// The conditions of the rule changed, so that the rule handles other requests.
    Conditions,
    /// The rule was deleted.
    Deleted,
    /// The rule was deleted, and another rule with the same conditions was created.
    Replaced,
}

/// The health of a target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupHealth {
    /// The cluster that the group belongs to.
    pub cluster: ClusterName,
    /// The name of the group.
    pub group: String,
    /// The number of targets by state at the last reading; `None` if they were not read yet.
    pub targets: Option<HealthCounts>,
    /// Why some targets are unused, in AWS's words; `None` if no target is unused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<String>,
    /// Why the group's health cannot be read at the moment.
    pub unreadable: Option<String>,
}

/// The healthy targets of a cluster that a rollback would send the traffic to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WayBackView {
    /// The name of the cluster.
    pub cluster: ClusterName,
    /// The number of healthy targets now; `None` if it is unknown.
    pub healthy: Option<u32>,
    /// The number of healthy targets at the start of the run.
    pub baseline: u32,
}

/// The process that guards a run, if any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Guard {
    /// A process guards the run.
    Watched {
        /// The user and the machine of that process, such as `alice@mac`.
        by: String,
        /// The time of the last observation by that process.
        at: Timestamp,
        /// Seconds between two observations, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        every: Option<u64>,
        /// The group with traffic whose health was read longest ago, if one observation has several parts.
        #[serde(skip_serializing_if = "Option::is_none")]
        oldest: Option<OldestHealth>,
    },
    /// The run has no process that guards it.
    Unguarded {
        /// The time since which no process guards the run.
        since: Timestamp,
    },
    /// The run is finished and needs no guard.
    Over,
}

impl FreezeView {
    /// More routes may have drifted since the event, so the message about drift is that of the current state.
    fn of(state: &State, state::Frozen { reason, message, since }: state::Frozen) -> Self {
        let now = (reason == FreezeReason::Drift).then(|| drift_text::freeze_message(state)).flatten();
        Self { reason, message: now.unwrap_or(message), since }
    }
}

/// Removes the end of a bake that no process observes: only observed time counts.
fn stop_bake(wait: &mut Wait) {
    if wait.reason == WaitReason::Bake && wait.until.take().is_some() {
        wait.message.push_str("; no time counts while no process drives the run");
    }
}

impl RunView {
    /// Builds the view. Without `watch`, the shares are the last confirmed shares, and the health is unknown. The guard
    /// is the run's owner at the last observation in `watch`; [`RunView::with_heartbeat`] replaces it.
    pub fn of(plan: &Plan, state: &State, watch: Option<&Observed>, waits: &[Wait], now: Timestamp) -> Self {
        let names = Names::of(&state.started);
        let label = |r: &Route| names.route(&r.start.id);
        let observed_at = watch.and_then(|w| w.last_full);
        let newer = decide::newer::wait(plan, state).filter(|_| state.finished.is_none());
        Self {
            run: state.run.clone(),
            plan: state.started.plan.clone(),
            plan_file: (!state.started.has_no_plan()).then(|| plan_argument(plan)),
            now,
            phase: state.phase,
            outcome: state.finished,
            step: state.step,
            from_step: state.started.from_step,
            steps: plan.strategy.steps.iter().map(decide::label).collect(),
            paused: state.paused.clone().map(|state::Paused { by, why }| PauseView { by, reason: why }),
            frozen: state.frozen.clone().map(|frozen| FreezeView::of(state, frozen)),
            rollback_cause: state.rollback.as_ref().map(|r| r.cause.clone()),
            retired: state.retirement.is_some(),
            sticky_clients_left: state.finished.is_some() && decide::sticky_clients_left(plan, state),
            aborted_to: state.rollback.as_ref().and_then(|r| r.to_step),
            stopped: state.stopped,
            traffic: route_groups(plan, state, watch, &names),
            unread_traffic: unread_traffic(state, watch),
            put_back: is_put_back(state, watch).then_some(PutBack { by_script_at: None }),
            unconfirmed: state.routes.values().filter(|r| r.open_writes.is_some()).map(label).collect(),
            drift: state.routes.values().flat_map(|r| drift_views(state, r, &names)).collect(),
            new_rules: state.newcomers.values().map(|start| start.label.clone()).collect(),
            not_moved: state.started.not_moved.clone(),
            health: state.started.groups.keys().map(|arn| group_health(arn, state, watch)).collect(),
            gates: gates::of_run(plan, state, watch, now),
            hooks: hooks::of_run(plan, state),
            notifications: plan.notifications.iter().map(|n| n.to.kind().to_owned()).collect(),
            hours: next_of_run(plan, state, now),
            ignored_hours: ignored_hours(state),
            waits: newer
                .into_iter()
                .chain(waits.iter().filter(|wait| wait.reason != WaitReason::Newer).cloned())
                .map(|wait| with_next_comparison(plan, state, watch, wait))
                .collect(),
            way_back: watch
                .map_or_else(Vec::new, |w| decide::way_back(state, w).into_iter().map(WayBackView::from).collect()),
            waves: Vec::new(),
            guard: current_guard(state, observed_at.map(|at| (state.started.owner.clone(), at)), now),
            other_owner: match watch.and_then(|watch| watch.marker.as_ref()) {
                Some(Marker::Other(value)) => Some(value.clone()),
                _ => None,
            },
            reachable: true,
            without_journal: None,
        }
    }

    /// Sets the guard by the last heartbeat in the store. A heartbeat does not count if it is over a minute old, or if
    /// it says that the process stopped.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Option<&Heartbeat>) -> Self {
        if self.guard != Guard::Over {
            self.guard = match heartbeat {
                Some(l) if l.guarding && self.now.duration_since(l.observed_at) <= HEARTBEAT_TIMEOUT => {
                    Guard::Watched {
                        by: l.owner.clone(),
                        at: l.observed_at,
                        every: l.interval_seconds,
                        oldest: l.oldest_health.clone(),
                    }
                }
                Some(l) => Guard::Unguarded { since: l.observed_at },
                None => self.guard,
            };
        }
        if matches!(self.guard, Guard::Unguarded { .. }) {
            self.waits.iter_mut().for_each(stop_bake);
        }
        self
    }

    /// Adds that the break-glass script of the run was used, as the tags of its load balancers say.
    #[must_use]
    pub fn with_script_use(mut self, used: Option<&ScriptUse>) -> Self {
        if let Some(used) = used.filter(|used| used.run == self.run && self.outcome.is_none()) {
            self.put_back = Some(PutBack { by_script_at: Some(used.at) });
        }
        self
    }

    /// Returns the number of the current step and the number of steps. After the last step, the current step is the
    /// last step.
    pub fn step_of(&self) -> (usize, usize) {
        (self.step.min(self.steps.len()), self.steps.len())
    }
}

impl From<decide::WayBack> for WayBackView {
    fn from(way: decide::WayBack) -> Self {
        Self { cluster: way.cluster, healthy: way.healthy, baseline: way.baseline }
    }
}

/// Returns the name of a phase in `status --output json` and in the metrics.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready => "ready",
        Phase::Shifting => "shifting",
        Phase::Baking => "baking",
        Phase::AwaitingApproval => "awaitingApproval",
        Phase::RunningCommand => "runningCommand",
        Phase::RoutingHeaders => "routingHeaders",
        Phase::HandingOver => "handingOver",
        Phase::RollingBack => "rollingBack",
        Phase::Retiring => "retiring",
        Phase::Finished => "finished",
    }
}

/// Adds the time of the next comparison to the wait for the compare gate, if this process compares.
fn with_next_comparison(plan: &Plan, state: &State, watch: Option<&Observed>, wait: Wait) -> Wait {
    if wait.reason != WaitReason::Compare {
        return wait;
    }
    Wait { until: watch.and_then(|watch| decide::comparison::next(plan, state, watch)), ..wait }
}

fn ignored_hours(state: &State) -> Option<IgnoredHoursView> {
    let over = state.finished.is_some();
    let ignored = if over { state.ignored_hours.as_ref() } else { state.hours_ignored_for(state.step) }?;
    Some(IgnoredHoursView { by: ignored.by.clone(), reason: ignored.why.clone(), step: ignored.step })
}

fn current_guard(state: &State, owner: Option<(String, Timestamp)>, now: Timestamp) -> Guard {
    match owner {
        _ if state.finished.is_some() => Guard::Over,
        Some((by, at)) if now.duration_since(at) <= HEARTBEAT_TIMEOUT => {
            Guard::Watched { by, at, every: None, oldest: None }
        }
        Some((_, since)) => Guard::Unguarded { since },
        None => Guard::Unguarded { since: state.last_record_at },
    }
}

/// Groups routes by their shares. Omits deleted rules, which are in `drift`.
fn route_groups(plan: &Plan, state: &State, watch: Option<&Observed>, names: &Names) -> Vec<RouteGroup> {
    let mut splits: BTreeMap<String, RouteGroup> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.is_deleted()) {
        let content = live_content(route, watch);
        let managed: Vec<_> = route.start.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
        let shares =
            shares::live_shares(&content.split, &managed).map_or_else(Vec::new, |read| sorted_shares(plan, read));
        let shares: Vec<_> = shares.into_iter().map(|(c, share)| (names.member(&route.start.id, c), share)).collect();
        let outside = decide::desired_split::outside_shares(route, &content.split);
        let outside: Vec<_> = outside.into_iter().map(|(arn, share)| (names.group(&arn), share)).collect();
        let split = splits.entry(format!("{shares:?} {outside:?}"));
        let split = split.or_insert_with(|| RouteGroup { shares, routes: Vec::new(), outside, sticky: 0 });
        split.routes.push(names.route(&route.start.id));
        split.sticky += usize::from(content.sticky().is_some());
    }
    let mut splits: Vec<_> = splits.into_values().collect();
    splits.sort_by_key(|s| std::cmp::Reverse(s.routes.len()));
    splits
}

/// Returns the routes whose last reading failed. A deleted rule counts as read.
fn unread_traffic(state: &State, watch: Option<&Observed>) -> Option<UnreadTraffic> {
    let failed = |route: &&Route| {
        let reading = watch?.routes.get(&route.start.id)?;
        reading.value.as_ref().err().filter(|why| !matches!(why, Unreadable::NotFound(_)))
    };
    let unread: Vec<_> = state.routes.values().filter_map(|route| Some((route, failed(&route)?))).collect();
    let known_at = unread.iter().map(|(route, _)| route.last_event_at).max()?;
    Some(UnreadTraffic { routes: unread.len(), why: unread[0].1.to_string(), known_at })
}

/// Returns the live content of a route: the content read after the route's last event. Without such a read: the drifted
/// content, else the last confirmed content.
fn live_content<'a>(route: &'a Route, watch: Option<&'a Observed>) -> &'a RouteContent {
    let read = watch.and_then(|w| w.routes.get(&route.start.id)).filter(|r| r.at >= route.last_event_at);
    let read = read.and_then(|r| r.value.as_ref().ok());
    read.or(route.drifted_content()).unwrap_or(&route.confirmed)
}

fn sorted_shares(plan: &Plan, read: BTreeMap<ClusterName, f64>) -> Vec<(ClusterName, f64)> {
    let place = |c: &str| [&plan.strategy.from, &plan.strategy.to].iter().position(|n| *n == c).unwrap_or(2);
    let mut shares: Vec<_> = read.into_iter().filter(|(c, share)| *share > 0.0 || place(c) < 2).collect();
    shares.sort_by_key(|(c, _)| place(c));
    shares
}

/// Describes what someone else did to a route: changes of its shares or its rule, and changes of its conditions.
fn drift_views(state: &State, route: &Route, names: &Names) -> Vec<DriftView> {
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
            Some(view(DriftKind::Changed, change.unwrap_or_else(|| "the route is unchanged again".into())))
        }
        (Some(_), None) => {
            let replaced = state.replacements(route).any(|rule| state.is_undecided(rule));
            let kind = if replaced { DriftKind::Replaced } else { DriftKind::Deleted };
            Some(DriftView {
                accepted: route.deletion_accepted && !replaced,
                ..view(kind, drift_text::describe_deletion(state, route, &[]))
            })
        }
    };
    let conditions = drift_text::describe_conditions(route).map(|change| view(DriftKind::Conditions, change));
    shares.into_iter().chain(conditions).collect()
}

fn group_health(arn: &str, state: &State, watch: Option<&Observed>) -> GroupHealth {
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
