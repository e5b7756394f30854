//! Represents the values in events. The JSON names of the values are part of the journal's format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::text::word;
use crate::domain::traffic::{ClusterName, RouteId, Split};
use crate::plan::model;

/// The kind of a step, as the state of a run needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepType {
    /// Attach target groups and create or verify bindings.
    Bind,
    /// Move shares.
    Shares,
    /// Wait for a duration.
    Bake,
    /// Wait for an operator.
    Approval,
    /// Run a command.
    Exec,
    /// Make or remove header rules.
    HeaderRoute,
    /// Hand over CronJobs and workers.
    HandOver,
}

/// The result for one binding of a `bind` step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BindResult {
    /// The binding was created or updated.
    Applied,
    /// A binding with the same fields already existed.
    Already,
    /// The binding of another owner has the expected fields.
    Verified,
}

impl BindResult {
    /// Returns the result in words for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Applied => "written",
            Self::Already => "exists already, nothing was written",
            Self::Verified => "verified",
        }
    }

    /// Returns the name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// The purpose of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateKind {
    /// The gate must pass before a share is raised.
    Raise,
    /// The gate must pass while a group has traffic.
    Guard,
}

impl GateKind {
    /// Returns the name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// The kind of an operator request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestKind {
    /// Pause the run: no more shares are raised.
    Pause,
    /// Resume the run: shares may be raised again.
    Resume,
    /// Approve the waiting approval step.
    Approve,
    /// End the current pause early.
    Promote,
    /// Roll back and end the run.
    Abort,
    /// Roll back, at once or in stages.
    Rollback,
    /// Take back an item of a hand-over without a confirmation that it is stopped.
    AssumeStopped,
    /// Detach the old cluster's groups from the routes.
    Finalize,
}

impl RequestKind {
    /// Returns the name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The route.
    pub route: RouteId,
    /// The split that the route must have before the write; `None` means any split (a write of a rollback).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<Split>,
    /// The split to write.
    pub set: Split,
}

/// The stages of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ramp {
    /// The stages as percentages of the rollback, in increasing order; the last percentage is 100.
    pub percents: Vec<u32>,
    /// Seconds between the last read-back of a stage and the next stage.
    pub every: u64,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteResult {
    /// The write was sent and read back.
    Applied,
    /// The route already had the split, so nothing was sent.
    Already,
    /// The write was sent, but got no response or was not read back in time. It can take effect until its deadline.
    Unknown,
    /// The write was rejected or never sent. The route did not change.
    Failed,
    /// The route could not be read, so nothing was sent. An earlier write without a response stays open.
    Unreadable,
    /// The rule was deleted.
    Deleted,
}

/// What happens when an approval is not given in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Roll back.
    Rollback,
    /// Pause the run and notify.
    Pause,
    /// Continue as if the step had been approved.
    Proceed,
}

impl OnTimeout {
    /// Returns the name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

impl From<model::OnTimeout> for OnTimeout {
    fn from(then: model::OnTimeout) -> Self {
        match then {
            model::OnTimeout::Rollback => Self::Rollback,
            model::OnTimeout::Pause => Self::Pause,
            model::OnTimeout::Proceed => Self::Proceed,
        }
    }
}

/// Windows, blackouts and `notBefore` that an operator overrides (`resume --ignore-hours`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredHours {
    /// The number of the step, from 1, for which the hours are ignored. Later steps wait for the hours again.
    pub step: usize,
    /// The reason that the operator gave.
    pub reason: String,
}

/// How `resume` handles changes by other actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ResumeModeName", into = "ResumeModeName")]
pub struct ResumeMode {
    /// How drifted routes are handled.
    pub drift: DriftPolicy,
    /// Whether rules that appeared since the start join the run.
    pub include_new: bool,
}

/// The names of the resume modes in the journal and in requests.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ResumeModeName {
    Plain,
    KeepLive,
    Reassert,
    IncludeNew,
    KeepLiveAndIncludeNew,
    ReassertAndIncludeNew,
}

impl From<ResumeModeName> for ResumeMode {
    fn from(name: ResumeModeName) -> Self {
        let (drift, include_new) = match name {
            ResumeModeName::Plain => (DriftPolicy::Leave, false),
            ResumeModeName::KeepLive => (DriftPolicy::KeepLive, false),
            ResumeModeName::Reassert => (DriftPolicy::Reassert, false),
            ResumeModeName::IncludeNew => (DriftPolicy::Leave, true),
            ResumeModeName::KeepLiveAndIncludeNew => (DriftPolicy::KeepLive, true),
            ResumeModeName::ReassertAndIncludeNew => (DriftPolicy::Reassert, true),
        };
        Self { drift, include_new }
    }
}

impl From<ResumeMode> for ResumeModeName {
    fn from(mode: ResumeMode) -> Self {
        match (mode.drift, mode.include_new) {
            (DriftPolicy::Leave, false) => Self::Plain,
            (DriftPolicy::KeepLive, false) => Self::KeepLive,
            (DriftPolicy::Reassert, false) => Self::Reassert,
            (DriftPolicy::Leave, true) => Self::IncludeNew,
            (DriftPolicy::KeepLive, true) => Self::KeepLiveAndIncludeNew,
            (DriftPolicy::Reassert, true) => Self::ReassertAndIncludeNew,
        }
    }
}

/// How `resume` handles drifted routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftPolicy {
    /// Drifted routes stay drifted.
    Leave,
    /// The changes are accepted: shares, conditions, deleted rules.
    KeepLive,
    /// The expected shares are written again.
    Reassert,
}

impl ResumeMode {
    /// Continue the run without changes to drifted routes.
    pub const PLAIN: Self = Self { drift: DriftPolicy::Leave, include_new: false };
    /// Accept the changes by other actors (`--keep-live`).
    pub const KEEP_LIVE: Self = Self { drift: DriftPolicy::KeepLive, include_new: false };
    /// Write the expected shares again (`--reassert`).
    pub const REASSERT: Self = Self { drift: DriftPolicy::Reassert, include_new: false };
    /// Add rules that appeared since the start to the run (`--include-new`).
    pub const INCLUDE_NEW: Self = Self { drift: DriftPolicy::Leave, include_new: true };
    /// Accept the changes by other actors, and add rules that appeared since the start to the run (`--keep-live
    /// --include-new`), for example after a rule was deleted and created again.
    pub const KEEP_LIVE_AND_INCLUDE_NEW: Self = Self { drift: DriftPolicy::KeepLive, include_new: true };
}

/// Why a run is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FreezeReason {
    /// Another actor changed a route.
    Drift,
    /// Health, routes or the marker could not be read for some time.
    Unreadable,
    /// A raise gate did not pass in time.
    GateTimeout,
    /// A guard failed and `onFailure` is `pause`.
    GuardFailed,
    /// The old cluster is unhealthy.
    FromUnhealthy,
    /// A write failed and `onFailure` is `pause`.
    WriteFailed,
    /// A command or a hook failed and `onFailure` is `pause`.
    HookFailed,
    /// The old cluster has no healthy targets, so a rollback is unsafe.
    NoWayBack,
    /// The lock or the marker was lost, and no other owner is known.
    LockLost,
}

/// A condition that the run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The kind of wait.
    pub reason: WaitReason,
    /// The message, with numbers.
    pub message: String,
    /// When the wait ends without any action; `None` if this is unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// The kind of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// A write got no response and can take effect until its deadline.
    OpenWrite,
    /// A raise gate does not pass yet: too few healthy targets, or not for long enough.
    RaiseGate,
    /// A metric gate does not pass yet.
    MetricGate,
    /// The comparison of both clusters has an error, or is not ready.
    Compare,
    /// The settle time after the last write is not over.
    Settle,
    /// A bake is not over.
    Bake,
    /// An operator must approve.
    Approval,
    /// The run is paused.
    Paused,
    /// The run is frozen.
    Frozen,
    /// A guard fails, but not yet for the time `for`.
    GuardFailing,
    /// A reading failed.
    Unreadable,
    /// A binding cannot be created yet.
    Binding,
    /// A command or a web request is running.
    Hook,
    /// The rate limit of the API delays a call.
    Rate,
    /// The next stage of a rollback is not due.
    Ramp,
    /// The journal cannot be written.
    Journal,
    /// The step may not start now, because of `notBefore`, a window or a blackout.
    Window,
    /// An item of a hand-over still runs, or cannot be read or written.
    HandOver,
    /// A newer version recorded something that this build does not know.
    Newer,
}

/// The trigger of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// An operator request.
    Operator,
    /// A gate failed.
    Gate,
    /// A write, a command or a hook failed.
    Failure,
    /// An approval was not given in time.
    ApprovalTimeout,
}

impl Trigger {
    /// Whether the run started the rollback without an operator request.
    pub fn is_automatic(self) -> bool {
        self != Self::Operator
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunOutcome {
    /// All steps are done.
    Completed,
    /// An automatic rollback restored the original shares.
    RolledBack,
    /// An operator rolled back to the original shares or to the shares of an earlier step.
    Aborted,
}

/// Why a process stopped driving an unfinished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    /// The run waits, for example for an approval, a bake or because of `--until`. Exit code 8.
    Waiting,
    /// The process was interrupted with `^C`. Exit code 130.
    Interrupted,
    /// Another actor changed a route (drift). Exit code 7.
    Drift,
    /// Another owner has the lock or the marker. Exit code 6.
    Lock,
    /// The traffic is not at the intended shares, and an operator must act. Exit code 5.
    Stuck,
}

/// The part of a rehearsal in which its clients were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MeasuredTime {
    /// The shares of a step, from the end of `settle` to the end of the step.
    #[default]
    Step,
    /// From the start of a rollback to the end of the run.
    Rollback,
    /// Some minutes after the end of a run that was rolled back.
    AfterRollback,
    /// Some minutes after the end of a run that completed.
    AfterRun,
}

impl MeasuredTime {
    /// Whether the measurement is that of a step.
    pub fn is_step(&self) -> bool {
        *self == Self::Step
    }

    /// Returns the time as the start of a sentence about the measurement of `step`.
    pub fn text(self, step: usize) -> String {
        match self {
            Self::Step => format!("step {step}"),
            Self::Rollback => "during the rollback".into(),
            Self::AfterRollback => "after the rollback".into(),
            Self::AfterRun => "after the run".into(),
        }
    }
}

/// The measurements of a rehearsal's clients in one part of the rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientMeasurement {
    /// The step whose shares were live, or the last step.
    pub step: usize,
    /// The name or action of the step, such as `setWeight: 5`.
    pub label: String,
    /// When the clients were measured.
    #[serde(skip_serializing_if = "MeasuredTime::is_step", default)]
    pub during: MeasuredTime,
    /// The measurements by cluster.
    pub clusters: BTreeMap<ClusterName, ClusterMeasurement>,
    /// The number of all requests, including requests to third-party groups.
    pub requests: u64,
    /// The number of requests that failed for the client (no response, or status 5xx).
    pub client_errors: u64,
}

/// The measurements of one cluster in a [`ClientMeasurement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterMeasurement {
    /// The planned share, in percent of the managed traffic.
    pub planned: f64,
    /// The measured share, in percent of the managed traffic.
    pub measured: f64,
    /// The number of requests to the cluster.
    pub requests: u64,
    /// The number of failed requests to the cluster.
    pub client_errors: u64,
}
