//! Represents the values in the state of a run, with simple queries. The effects of events belong in `fold`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::group_facts::GroupFacts;
use crate::base::time::later;
use crate::domain::hand_over::Items;
use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::comparison::Comparison;
use crate::domain::run::event::{FreezeReason, Ramp, RouteStart, RunOutcome, Started, StopReason};
use crate::domain::run::header_rule::HeaderRules;
use crate::domain::run::hook::HookId;
use crate::domain::traffic::{RouteContent, RouteId, Split};

/// How long after a read-back an older value counts as a late reading and not as drift. Load balancers are eventually
/// consistent without a published limit. Therefore, if someone really sets a route back to the old value, this is
/// detected only after this time.
pub const LATE_READ: SignedDuration = SignedDuration::from_secs(30);

/// The value of `by` in events without an operator request. The value is only for people and has no effect.
pub const AUTOMATIC: &str = "cutover";

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The run is between two steps.
    Ready,
    /// The run is in a `bind` step or a share step: gates, writes, settle.
    Shifting,
    /// The run is in a bake.
    Baking,
    /// The run is in an approval step.
    AwaitingApproval,
    /// The run is in an `exec` step.
    RunningCommand,
    /// The run makes or removes the rules of a `setHeaderRoute` step.
    RoutingHeaders,
    /// The run is in a `handOver` step.
    HandingOver,
    /// The run is in a rollback.
    RollingBack,
    /// The run is in `finalize --detach`: the old groups are being detached.
    Retiring,
    /// The run has ended.
    Finished,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The run's id.
    pub run: String,
    /// The event `started` of the run.
    pub started: Started,
    /// The time at which the run started.
    pub started_at: Timestamp,
    /// The time of the last record.
    pub last_record_at: Timestamp,
    /// The phase of the run.
    pub phase: Phase,
    /// The number of the current step, or of the next step in [`Phase::Ready`]; from 1.
    pub step: usize,
    /// The time at which the current step began.
    pub step_since: Timestamp,
    /// The time at which the last step was completed; before that, the time at which the run started.
    pub last_step_done: Timestamp,
    /// The time of the first write of the current step, not counting rewrites of drifted routes.
    pub first_write: Option<Timestamp>,
    /// Whether the current step's writes have settled.
    pub settled: bool,
    /// The observed time of the current bake.
    pub baked: BakeProgress,
    /// Whether the current pause is approved or promoted.
    pub pause_ended: bool,
    /// Whether the approval time-out of the current step has passed and `onTimeout` was applied.
    pub timed_out: bool,
    /// Whether every pause of the run is promoted.
    pub all_pauses_promoted: bool,
    /// The pause, if the run is paused.
    pub paused: Option<Paused>,
    /// The freeze, if the run is frozen.
    pub frozen: Option<Frozen>,
    /// Up to which step an operator ignores the plan's hours.
    pub ignored_hours: Option<HoursOverride>,
    /// The start of the time-out of the gates.
    pub gate_timeout_since: Timestamp,
    /// Whether an operator resumed although the old cluster is unhealthy.
    pub resumed_despite_from: bool,
    /// The rollback that is in progress or done.
    pub rollback: Option<Rollback>,
    /// All routes of the run.
    pub routes: BTreeMap<RouteId, Route>,
    /// The routes that the steps go on without, because an operator accepted that their load balancer is lost. A
    /// rollback tries them.
    pub left_out: BTreeMap<RouteId, Route>,
    /// The routes by the ARN of a managed target group.
    pub(super) routes_by_group: BTreeMap<String, Vec<RouteId>>,
    /// Facts about groups, computed from the other fields after each event.
    pub(super) group_facts: GroupFacts,
    /// The time of the last event that may have changed the share of a group.
    pub shares_changed_at: Timestamp,
    /// The rules that appeared since the start and that the run does not move.
    pub newcomers: BTreeMap<RouteId, RouteStart>,
    /// The ids of `newcomers` that replace a deleted route and that an operator accepted (`resume --keep-live`).
    pub accepted_newcomers: BTreeSet<RouteId>,
    /// The time since which the current shares are in effect. Older measurements of metric gates do not count.
    pub shares_since: Timestamp,
    /// The measurements and verdicts of metric gates for the current shares, by the name of the gate.
    pub gates: BTreeMap<String, GateHistory>,
    /// The last recorded verdicts of the metric gates for any shares, by the name of the gate.
    pub last_verdicts: BTreeMap<String, GateResult>,
    /// The last verdict of the compare gate.
    pub comparison: Option<Comparison>,
    /// The time since which the compare gate allows raises, if it does. While it holds a step, the time limit of the
    /// step's writes does not run.
    pub raises_compared_since: Timestamp,
    /// The bindings that were created or verified, as (cluster, namespace/name).
    pub handled_bindings: BTreeSet<(String, String)>,
    /// What the run has done with the items of its `handOver` steps.
    pub items: Items,
    /// The progress of the commands and hooks that have started. When a new process starts, no hook is running.
    pub hooks: BTreeMap<HookId, HookProgress>,
    /// The numbers of the `exec` steps whose commands have started and have not been undone.
    pub started_commands: BTreeSet<usize>,
    /// The rules that send requests with certain headers to the new cluster.
    pub header_rules: HeaderRules,
    /// The store names of the operator requests that were executed or refused.
    pub answered_requests: BTreeSet<String>,
    /// The retirement of the old cluster, in progress or done.
    pub retirement: Option<Retirement>,
    /// The outcome, if the run has ended.
    pub finished: Option<RunOutcome>,
    /// Why the last process stopped; `None` while a process drives the run.
    pub stopped: Option<StopReason>,
    /// The newest version of the program that drove the run.
    pub newest_tool: String,
    /// Descriptions of the parts of the records that this build does not know.
    pub newer: Vec<String>,
}

/// The progress of the current bake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BakeProgress {
    /// The observed time.
    pub observed: Duration,
    /// The time of the last observation that is included.
    pub until: Timestamp,
}

impl BakeProgress {
    /// Creates a progress of zero.
    pub(super) fn starting_at(until: Timestamp) -> Self {
        Self { observed: Duration::ZERO, until }
    }
}

/// A pause of the run, by an operator or by a time-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The operator, or `cutover`.
    pub by: String,
    /// Why the run was paused; may be empty.
    pub why: String,
}

/// An operator's decision to ignore the plan's hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursOverride {
    /// The operator who ignores the hours.
    pub by: String,
    /// The reason that the operator gave.
    pub why: String,
    /// The number of the last step that ignores the hours. Later steps wait for the hours again.
    pub step: usize,
}

/// A freeze of the run: no share is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The kind of reason.
    pub reason: FreezeReason,
    /// The reason as text, with numbers.
    pub message: String,
    /// The time at which the run was frozen.
    pub since: Timestamp,
}

/// The history of a metric gate for the current shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateHistory {
    /// The measurements of the gate, oldest first.
    pub measurements: Vec<Measurement>,
    /// The last recorded verdict of the gate.
    pub last_verdict: Option<GateResult>,
}

/// The progress of a command or a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookProgress {
    /// The hook is running since this time.
    Running(Timestamp),
    /// The hook succeeded.
    Succeeded,
    /// The hook failed for this reason.
    Failed(String),
}

/// The retirement of the old cluster, as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The operator that requested the retirement.
    pub by: String,
    /// Whether the old cluster's bindings are also deleted.
    pub bindings: bool,
    /// The bindings that were deleted (`None`) or left in place (with the reason), as (cluster, namespace/name).
    pub handled: BTreeMap<(String, String), Option<String>>,
}

/// A rollback, as requested.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// The cause of the rollback.
    pub cause: String,
    /// The operator; `cutover` for an automatic rollback.
    pub by: String,
    /// The earlier step whose shares are restored; `None` means the original shares.
    pub to_step: Option<usize>,
    /// Whether an operator used `--force`.
    pub force: bool,
    /// Whether the rollback started without an operator request.
    pub automatic: bool,
    /// Whether the rollback detaches the groups without a share from routes with sticky clients. For an automatic
    /// rollback, the plan decides.
    pub break_stickiness: bool,
    /// The time at which the rollback began. Older readings do not count as read back.
    pub since: Timestamp,
    /// The stages and the progress; `None` if the rollback has no stages.
    pub ramp: Option<RampProgress>,
    /// Whether the current process has sent a write of the rollback.
    pub has_written: bool,
}

/// The progress of a rollback in stages.
#[derive(Debug, Clone, PartialEq)]
pub struct RampProgress {
    /// The stages, as requested.
    pub ramp: Ramp,
    /// The current stage, as a percentage of the rollback.
    pub percent: u32,
    /// The time at which the stage began.
    pub since: Timestamp,
    /// The split of every route when the rollback began.
    pub from: BTreeMap<RouteId, Split>,
}

impl Rollback {
    /// Returns the progress if the current stage is not the last stage; `None` means to restore everything.
    pub fn unfinished_stage(&self) -> Option<&RampProgress> {
        self.ramp.as_ref().filter(|ramp| ramp.percent < 100)
    }
}

/// A route of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The route at the start.
    pub start: RouteStart,
    /// The content that was last confirmed by a reading.
    pub confirmed: RouteContent,
    /// The writes that may still take effect, if any.
    pub open_writes: Option<OpenWrites>,
    /// The change by another actor, if any.
    pub drift: Option<Drift>,
    /// Whether drift may be overwritten (`resume --reassert`).
    pub reassert: bool,
    /// Whether an operator accepted that the rule was deleted (`resume --keep-live`).
    pub deletion_accepted: bool,
    /// Whether `confirmed` was written by another actor and accepted by an operator (`resume --keep-live`), and the run
    /// has not written the route since.
    pub live_accepted: bool,
    /// The conditions of the rule at the start, or those that an operator accepted since.
    pub conditions: String,
    /// The conditions that another actor set, if they differ from `conditions`.
    pub changed_conditions: Option<String>,
    /// Whether the route joined the run after the start and must still be raised to the shares of the other routes.
    pub joined_late: bool,
    /// The time of the last write of the current step that was read back.
    pub applied_at: Option<Timestamp>,
    /// The time of the route's last event. Older readings are ignored.
    pub last_event_at: Timestamp,
    /// Whether the current process has read the route back after the last write, and since then no event of this route
    /// occurred and no rollback started.
    pub read_back: bool,
    /// The splits before the last changes by the run or by other actors, with the time of the replacement. A late
    /// reading may still return such a split.
    pub replaced_splits: Vec<ReplacedSplit>,
}

/// A change of a route by another actor.
#[derive(Debug, Clone, PartialEq)]
pub enum Drift {
    /// The route has this other content.
    Changed(RouteContent),
    /// The route was deleted.
    Gone,
}

/// A split that was replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplacedSplit {
    /// The split.
    pub split: Split,
    /// The time at which the replacement was confirmed.
    pub replaced: Timestamp,
}

/// Writes whose effect is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWrites {
    /// The splits that were sent; several if more than one write got no response.
    pub splits: Vec<Split>,
    /// After this time, none of the writes can take effect.
    pub deadline: Timestamp,
    /// Whether the process that sent the last write still waits for the result.
    pub pending: bool,
}

impl Route {
    /// Creates a route without events.
    pub(super) fn new(start: RouteStart, at: Timestamp) -> Self {
        Self {
            confirmed: start.content_at_start.clone().unwrap_or_else(|| start.content.clone()),
            conditions: start.conditions.clone(),
            changed_conditions: None,
            start,
            open_writes: None,
            drift: None,
            reassert: false,
            deletion_accepted: false,
            live_accepted: false,
            joined_late: false,
            applied_at: None,
            last_event_at: at,
            read_back: false,
            replaced_splits: Vec::new(),
        }
    }

    /// Returns the split that was last confirmed.
    pub fn split(&self) -> &Split {
        &self.confirmed.split
    }

    /// Returns the split at the start of the run.
    pub fn original(&self) -> &Split {
        &self.start.content.split
    }

    /// Returns the content that another actor wrote; `None` without drift or if the route was deleted.
    pub fn drifted_content(&self) -> Option<&RouteContent> {
        match self.drift.as_ref()? {
            Drift::Changed(content) => Some(content),
            Drift::Gone => None,
        }
    }

    /// Returns the content that a write expects: the last confirmed content, or the drifted content if it may be
    /// overwritten.
    pub fn expected(&self) -> &RouteContent {
        self.drifted_content().filter(|_| self.reassert).unwrap_or(&self.confirmed)
    }

    /// Whether a reading that shows this split may be outdated: older than the last write of the run, or than drift
    /// that was read since. Such a reading does not count. A process that has the content in its memory never shows an
    /// earlier content: after a restart it may have the split before the last write, and that is drift.
    pub fn is_outdated(&self, split: &Split, at: Timestamp) -> bool {
        let late = |past: &ReplacedSplit| at.duration_since(past.replaced) < LATE_READ && past.split.equivalent(split);
        let last = self.drifted_content().and_then(RouteContent::forward_split).unwrap_or(self.split());
        self.confirmed.process.is_none() && !last.equivalent(split) && self.replaced_splits.iter().any(late)
    }

    /// Remembers a split that was replaced at this time.
    pub(super) fn remember_replaced(&mut self, split: Split, replaced: Timestamp) {
        self.replaced_splits.retain(|past| replaced.duration_since(past.replaced) < LATE_READ);
        self.replaced_splits.push(ReplacedSplit { split, replaced });
    }

    /// Records new confirmed content.
    pub(super) fn confirm(&mut self, content: RouteContent, time: Timestamp) {
        let before = std::mem::replace(&mut self.confirmed, content).split;
        if !self.split().equivalent(&before) {
            self.remember_replaced(before, time);
        }
    }

    /// Whether the route was deleted.
    pub fn is_deleted(&self) -> bool {
        self.drift == Some(Drift::Gone)
    }
}

impl State {
    /// Returns the measurements of a metric gate for the current shares, oldest first.
    pub fn measurements(&self, gate: &str) -> &[Measurement] {
        self.gates.get(gate).map_or(&[], |gate| &gate.measurements)
    }

    /// Returns the end of the last measurement of any metric gate for the current shares.
    pub fn last_measurement(&self) -> Option<Timestamp> {
        self.gates.values().filter_map(|gate| Some(gate.measurements.last()?.to)).max()
    }

    /// Returns the last recorded verdict of a metric gate.
    pub fn last_verdict(&self, gate: &str) -> Option<GateResult> {
        self.gates.get(gate).and_then(|gate| gate.last_verdict)
    }

    /// Whether the run is paused or frozen, so that no share is raised.
    pub fn raises_stopped(&self) -> bool {
        self.paused.is_some() || self.frozen.is_some()
    }

    /// Returns the operator's decision to ignore the hours, if it covers this step.
    pub fn hours_ignored_for(&self, step: usize) -> Option<&HoursOverride> {
        self.ignored_hours.as_ref().filter(|ignored| step <= ignored.step)
    }

    /// Returns the routes that manage a target group.
    pub fn routes_of_group(&self, group: &str) -> impl Iterator<Item = &Route> {
        self.routes_by_group.get(group).into_iter().flatten().filter_map(|id| self.routes.get(id))
    }

    /// Adds a route to the run.
    pub(super) fn add_route(&mut self, route: Route) {
        let id = route.start.id.clone();
        if self.routes.contains_key(&id) {
            self.routes_by_group.values_mut().for_each(|routes| routes.retain(|known| *known != id));
        }
        for group in route.start.groups.values() {
            self.routes_by_group.entry(group.clone()).or_default().push(id.clone());
        }
        self.routes.insert(id, route);
    }

    /// Takes routes out of the run until a rollback starts.
    pub(super) fn leave_out(&mut self, routes: &[RouteId]) {
        for id in routes {
            self.left_out.extend(self.routes.remove(id).map(|route| (id.clone(), route)));
            self.routes_by_group.values_mut().for_each(|known| known.retain(|known| known != id));
        }
    }

    /// Takes the routes that were left out into the run again.
    pub(super) fn include_left_out(&mut self) {
        for route in std::mem::take(&mut self.left_out).into_values() {
            self.add_route(route);
        }
    }

    /// Returns the time of the last write of the current step that was read back.
    pub fn last_applied(&self) -> Option<Timestamp> {
        self.routes.values().filter_map(|route| route.applied_at).max()
    }

    /// Returns the time at which the traffic follows all writes of the current step that were read back. `settle` is
    /// the settle time of routes that do not set one.
    pub fn settles_at(&self, settle: Duration) -> Option<Timestamp> {
        let own = |route: &Route| route.start.settle.map_or(settle, Duration::from_secs);
        self.routes.values().filter_map(|route| Some(later(route.applied_at?, own(route)))).max()
    }

    /// Returns the routes that another actor changed or deleted.
    pub fn drifted(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(|r| r.drift.is_some())
    }
}
