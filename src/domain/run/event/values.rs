//! The values that events consist of. Their JSON spelling is part of the journal's format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::text::word;
use crate::domain::traffic::{ClusterName, RouteId, Split};
use crate::plan::model;

/// The kind of a step, as far as the state of a run depends on it.
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
}

/// The result for one binding of a `bind` step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BindResult {
    /// Created.
    Applied,
    /// A binding with the same fields existed already.
    Already,
    /// The owner's binding has the expected fields.
    Verified,
}

impl BindResult {
    /// Its name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// The purpose of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateKind {
    /// Must pass before a share rises.
    Raise,
    /// Must pass while traffic flows.
    Guard,
}

impl GateKind {
    /// Its name in the journal and in messages.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// The kind of an operator request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestKind {
    /// Stop the raises.
    Pause,
    /// Continue.
    Resume,
    /// Approve the waiting approval step.
    Approve,
    /// End the current pause early.
    Promote,
    /// Roll back and end the run.
    Abort,
    /// Roll back, at once or in stages.
    Rollback,
    /// Remove the old cluster's groups from the routes.
    Finalize,
}

impl RequestKind {
    /// Its name in the journal and in messages.
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
    /// The expected split; `None`: any (a restoring write).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<Split>,
    /// The split to write.
    pub set: Split,
}

/// The stages of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ramp {
    /// Percent of the rollback, rising; the last one is 100.
    pub percents: Vec<u32>,
    /// Seconds between the last read-back of a stage and the next stage.
    pub every: u64,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteResult {
    /// Sent and read back.
    Applied,
    /// The split was there already; nothing was sent.
    Already,
    /// Sent, but without an answer or not read back in time. It can take effect until its deadline.
    Unknown,
    /// Rejected or never sent; nothing changed.
    Failed,
    /// The route could not be read, so nothing was sent this time. An earlier write without an answer stays open.
    Unreadable,
    /// The rule was deleted.
    Deleted,
}

/// What happens when nobody approves in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Roll back.
    Rollback,
    /// Pause the run and notify.
    Pause,
    /// Continue as if it had been approved.
    Proceed,
}

impl OnTimeout {
    /// Its name in the journal and in messages.
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

/// How `resume` handles what other actors changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ResumeModeName", into = "ResumeModeName")]
pub struct ResumeMode {
    /// What happens to drifted routes.
    pub drift: DriftPolicy,
    /// `true`: rules that appeared since the start join the run.
    pub include_new: bool,
}

/// The modes by the names that the journal and requests have for them.
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

/// What `resume` does with drifted routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftPolicy {
    /// They stay drifted.
    Leave,
    /// What is live is accepted: shares, conditions, deleted rules.
    KeepLive,
    /// The expected shares are written again.
    Reassert,
}

impl ResumeMode {
    /// Continue; drifted routes stay drifted.
    pub const PLAIN: Self = Self { drift: DriftPolicy::Leave, include_new: false };
    /// Accept what is live (`--keep-live`).
    pub const KEEP_LIVE: Self = Self { drift: DriftPolicy::KeepLive, include_new: false };
    /// Write the expected shares again (`--reassert`).
    pub const REASSERT: Self = Self { drift: DriftPolicy::Reassert, include_new: false };
    /// Rules that appeared join the run (`--include-new`).
    pub const INCLUDE_NEW: Self = Self { drift: DriftPolicy::Leave, include_new: true };
    /// Accept what is live, and rules that appeared join the run (`--keep-live --include-new`): a rule was deleted and
    /// created again.
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
    /// The lock or the marker is lost, and no other owner is known.
    LockLost,
}

/// Something that the run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The kind of wait.
    pub reason: WaitReason,
    /// The message, with numbers.
    pub message: String,
    /// When it ends without any action, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// The kinds of wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// A write has no answer and can take effect until its deadline.
    OpenWrite,
    /// A raise gate does not pass yet: too few healthy targets, or not for long enough.
    RaiseGate,
    /// A metric gate does not pass yet.
    MetricGate,
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
    /// A guard fails, but not yet for long enough to count.
    GuardFailing,
    /// A reading failed.
    Unreadable,
    /// A binding cannot be created yet.
    Binding,
    /// A command or a web request is running.
    Hook,
    /// The rate limit of the API.
    Rate,
    /// The next stage of a rollback is not due.
    Ramp,
    /// The journal cannot be written.
    Journal,
    /// Outside of the allowed time: `notBefore`, a window, a blackout.
    Window,
    /// A newer version recorded something that this build does not know.
    Newer,
}

/// What started a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// An operator request.
    Operator,
    /// A gate failed.
    Gate,
    /// A write, a command or a hook failed.
    Failure,
    /// Nobody approved in time.
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
    /// An automatic rollback restored the traffic.
    RolledBack,
    /// An operator had the traffic restored to the start or to an earlier step's shares.
    Aborted,
}

/// Why a process stopped driving an unfinished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    /// An approval, a bake, `--until`; exit 8.
    Waiting,
    /// Interrupted with `^C`; exit 130.
    Interrupted,
    /// Drift; exit 7.
    Drift,
    /// Another owner; exit 6.
    Lock,
    /// Traffic is not where it should be; exit 5.
    Stuck,
}

/// What the clients of a rehearsal measured between the settle and the end of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientMeasurement {
    /// The step whose shares were live.
    pub step: usize,
    /// The name or action of the step, such as `setWeight: 5`.
    pub label: String,
    /// Measurements by cluster.
    pub clusters: BTreeMap<ClusterName, ClusterMeasurement>,
    /// All requests, including those to third-party groups.
    pub requests: u64,
    /// Requests that failed for the client (no answer, or 5xx).
    pub client_errors: u64,
}

/// The measurements for one cluster, see [`ClientMeasurement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterMeasurement {
    /// The planned share, in percent of the managed traffic.
    pub planned: f64,
    /// The measured share, in percent of the managed traffic.
    pub measured: f64,
    /// Requests that it answered.
    pub requests: u64,
    /// Of those, failed requests.
    pub client_errors: u64,
}
