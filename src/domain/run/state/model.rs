//! The values that the state of a run consists of, and simple queries on them. The effects of events belong in `fold`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{FreezeReason, Ramp, RouteStart, RunOutcome, Started, StopReason};
use crate::domain::run::hook::HookId;
use crate::domain::traffic::{RouteContent, RouteId, Split};

/// For this long after a write was read back, an older value counts as a late read, not as drift. Balancers are
/// eventually consistent and publish no figure. Real drift back to the old value is detected this much later.
pub const LATE_READ: SignedDuration = SignedDuration::from_secs(30);

/// The `by` of what a run does without an operator request. Only for people: nothing is decided by it.
pub const AUTOMATIC: &str = "cutover";

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Between two steps.
    Ready,
    /// In a `bind` or share step: gates, writes, settle.
    Shifting,
    /// In a bake.
    Baking,
    /// In an approval step.
    AwaitingApproval,
    /// In an `exec` step.
    RunningCommand,
    /// Rolling back.
    RollingBack,
    /// Removing the old groups from the routes.
    Retiring,
    /// Ended.
    Finished,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The run's id.
    pub run: String,
    /// Everything that was recorded at the start.
    pub started: Started,
    /// When it started.
    pub started_at: Timestamp,
    /// The time of the last record.
    pub last_record_at: Timestamp,
    /// Its phase.
    pub phase: Phase,
    /// The current step, or the next one in [`Phase::Ready`]; from 1.
    pub step: usize,
    /// When the current step began.
    pub step_since: Timestamp,
    /// The time of the first write of the current step, not counting rewrites of drifted routes.
    pub first_write: Option<Timestamp>,
    /// The time of the last write of the current step that was read back.
    pub last_applied: Option<Timestamp>,
    /// Whether the current step's writes have settled.
    pub settled: bool,
    /// Observed time of the current bake.
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
    /// The start of the raise gates' time-out.
    pub gate_timeout_since: Timestamp,
    /// Whether an operator resumed although the old cluster is unhealthy.
    pub resumed_despite_from: bool,
    /// The rollback that is in progress or done.
    pub rollback: Option<Rollback>,
    /// Every route.
    pub routes: BTreeMap<RouteId, Route>,
    /// Rules that appeared since the start and that the run does not move.
    pub newcomers: BTreeMap<RouteId, RouteStart>,
    /// Those of them that replace a deleted route and that an operator left as they are (`resume --keep-live`).
    pub accepted_newcomers: BTreeSet<RouteId>,
    /// Since when the current shares are in effect. Older measurements of metric gates do not count.
    pub shares_since: Timestamp,
    /// Measurements and verdicts of metric gates for the current shares, by gate name.
    pub gates: BTreeMap<String, GateHistory>,
    /// Bindings that were created or verified, as (cluster, namespace/name).
    pub handled_bindings: BTreeSet<(String, String)>,
    /// Commands and hooks that have started. A process that takes over finds none of them running.
    pub hooks: BTreeMap<HookId, HookProgress>,
    /// The `exec` steps whose commands started and were not undone since.
    pub started_commands: BTreeSet<usize>,
    /// Operator requests that were answered, by their store names.
    pub answered_requests: BTreeSet<String>,
    /// The removal of the old groups, in progress or done.
    pub retirement: Option<Retirement>,
    /// The outcome, if the run has ended.
    pub finished: Option<RunOutcome>,
    /// Why the last process stopped, if no process drives the run.
    pub stopped: Option<StopReason>,
    /// The newest version that drove the run.
    pub newest_tool: String,
    /// Parts of the records that this build does not know, as text.
    pub newer: Vec<String>,
}

/// How long the current step has baked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BakeProgress {
    /// Observed time.
    pub observed: Duration,
    /// Up to when it is counted.
    pub until: Timestamp,
}

impl BakeProgress {
    /// Starts at zero.
    pub(super) fn starting_at(until: Timestamp) -> Self {
        Self { observed: Duration::ZERO, until }
    }
}

/// A pause, requested by an operator or by `onFailure: pause`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// By whom.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
}

/// A freeze: raises are stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Why.
    pub reason: FreezeReason,
    /// The message.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// The history of a metric gate for the current shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateHistory {
    /// Its measurements, oldest first.
    pub measurements: Vec<Measurement>,
    /// Its last recorded verdict.
    pub last_verdict: Option<GateResult>,
}

/// The progress of a command or a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookProgress {
    /// Running since this time.
    Running(Timestamp),
    /// Succeeded.
    Succeeded,
    /// Failed, and why.
    Failed(String),
}

/// The removal of the old groups, as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// By whom.
    pub by: String,
    /// Whether the old cluster's bindings are deleted, too.
    pub bindings: bool,
    /// Bindings that were handled, as (cluster, namespace/name), each with the reason if it was left in place.
    pub handled: BTreeMap<(String, String), Option<String>>,
}

/// A rollback, as requested.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// Why.
    pub cause: String,
    /// By whom; `cutover` for an automatic one.
    pub by: String,
    /// The earlier step whose shares are restored; `None`: the original shares.
    pub to_step: Option<usize>,
    /// Whether an operator forced it.
    pub force: bool,
    /// Whether it started without an operator request.
    pub automatic: bool,
    /// When it began. Readings from before do not count as read-back.
    pub since: Timestamp,
    /// The stages and their progress, if it runs in stages.
    pub ramp: Option<RampProgress>,
    /// Whether the current process has written for it.
    pub has_written: bool,
}

/// The progress of a rollback in stages.
#[derive(Debug, Clone, PartialEq)]
pub struct RampProgress {
    /// The stages, as requested.
    pub ramp: Ramp,
    /// The current stage: percent of the rollback.
    pub percent: u32,
    /// When the stage began.
    pub since: Timestamp,
    /// The split of every route when the rollback began.
    pub from: BTreeMap<RouteId, Split>,
}

impl Rollback {
    /// Returns the current stage, if it is not the last; `None`: restore everything.
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
    /// Writes that may still take effect.
    pub open_writes: Option<OpenWrites>,
    /// What another actor changed, if anything.
    pub drift: Option<Drift>,
    /// Whether drift may be overwritten (`resume --reassert`).
    pub reassert: bool,
    /// Whether an operator accepted that the rule was deleted (`resume --keep-live`).
    pub deletion_accepted: bool,
    /// Whether `confirmed` is what another actor wrote and an operator accepted (`resume --keep-live`), with no write
    /// of this run since.
    pub live_accepted: bool,
    /// The conditions that it has, or that an operator accepted.
    pub conditions: String,
    /// The conditions that another actor gave it, if they differ.
    pub changed_conditions: Option<String>,
    /// It joined the run late and has to be raised to the shares of the others.
    pub joined_late: bool,
    /// The time of its last event. Older readings are ignored.
    pub last_event_at: Timestamp,
    /// Whether the current process has read it back after its last write, with no event of this route or start of a
    /// rollback since.
    pub read_back: bool,
    /// Splits before the last changes (ours and others'), with the time of replacement. A late read may still return
    /// them.
    pub replaced_splits: Vec<ReplacedSplit>,
}

/// What another actor did to a route.
#[derive(Debug, Clone, PartialEq)]
pub enum Drift {
    /// Replaced its content with this.
    Changed(RouteContent),
    /// Deleted it.
    Gone,
}

/// A split that was replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplacedSplit {
    /// The split.
    pub split: Split,
    /// When the replacement was confirmed.
    pub replaced: Timestamp,
}

/// Writes whose effect is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWrites {
    /// The splits that were sent; several where more than one write had no answer.
    pub splits: Vec<Split>,
    /// None of them takes effect after this time.
    pub deadline: Timestamp,
    /// Whether the process that sent the last one still waits for its result.
    pub pending: bool,
}

impl Route {
    /// Returns a route as first recorded.
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

    /// Returns the content that another actor wrote, if any.
    pub fn drifted_content(&self) -> Option<&RouteContent> {
        match self.drift.as_ref()? {
            Drift::Changed(content) => Some(content),
            Drift::Gone => None,
        }
    }

    /// Returns the content that a write expects: the last confirmed one, or the drifted one where it may be
    /// overwritten.
    pub fn expected(&self) -> &RouteContent {
        self.drifted_content().filter(|_| self.reassert).unwrap_or(&self.confirmed)
    }

    /// Whether a reading that shows this split may be outdated: older than our last write, or than the drift that was
    /// seen since. Such a reading proves nothing.
    pub fn is_outdated(&self, split: &Split, at: Timestamp) -> bool {
        let late = |past: &ReplacedSplit| at.duration_since(past.replaced) < LATE_READ && past.split.equivalent(split);
        let last = self.drifted_content().and_then(RouteContent::forward_split).unwrap_or(self.split());
        !last.equivalent(split) && self.replaced_splits.iter().any(late)
    }

    /// Remembers a split that is now replaced.
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
    /// Measurements of a metric gate for the current shares, oldest first.
    pub fn measurements(&self, gate: &str) -> &[Measurement] {
        self.gates.get(gate).map_or(&[], |gate| &gate.measurements)
    }

    /// Returns the last recorded verdict of a metric gate.
    pub fn last_verdict(&self, gate: &str) -> Option<GateResult> {
        self.gates.get(gate).and_then(|gate| gate.last_verdict)
    }

    /// Whether raises are stopped: paused or frozen.
    pub fn raises_stopped(&self) -> bool {
        self.paused.is_some() || self.frozen.is_some()
    }

    /// Routes that another actor changed or deleted.
    pub fn drifted(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(|r| r.drift.is_some())
    }
}
