//! What events are made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::traffic::{ClusterName, RouteId, Split};
use crate::plan::model;

/// A step's kind, as far as the state of a run cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepType {
    /// Attach and bind.
    Bind,
    /// Move shares.
    Shares,
    /// Wait for a time.
    Bake,
    /// Wait for a person.
    Approval,
    /// Run a command.
    Exec,
}

/// What became of a binding that a run makes or compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BindResult {
    /// Made.
    Applied,
    /// The one that was to be made existed already, with the same fields.
    Already,
    /// Its owner's binding is as it must be.
    Verified,
}

impl BindResult {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Already => "already",
            Self::Verified => "verified",
        }
    }
}

/// What a gate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateKind {
    /// It must hold before a share rises.
    Raise,
    /// It must hold while traffic flows.
    Guard,
}

impl GateKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Guard => "guard",
        }
    }
}

/// What a person asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestKind {
    /// Raise nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Approve the step that waits for it.
    Approve,
    /// End a pause early.
    Promote,
    /// Put the traffic back and end the run.
    Abort,
    /// Put the traffic back, at once or in parts.
    Rollback,
    /// Take the old groups out of the actions.
    Finalize,
}

impl RequestKind {
    /// The command's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::Finalize => "finalize",
        }
    }
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The route.
    pub route: RouteId,
    /// What must be there; `None`: whatever is there (a restoring write).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<Split>,
    /// What is to be there.
    pub set: Split,
}

/// A way back in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ramp {
    /// Percent of the way back, rising, the last one 100.
    pub percents: Vec<u32>,
    /// Seconds from the last read-back of one to the next.
    pub every: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteResult {
    /// Sent, read back and equal.
    Applied,
    /// It was there already.
    Already,
    /// Sent without an answer, or not read back in time: open until its deadline.
    Unknown,
    /// Answered with no, or never sent; nothing changed.
    Failed,
    /// The route could not be read, so nothing was sent this time. What was sent before is as open as it was.
    Unread,
    /// The route is gone.
    Gone,
}

/// What happens where nobody approves in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Put the traffic back.
    Rollback,
    /// Pause the run, and call a person.
    Pause,
    /// Go on as if it had been approved.
    Proceed,
}

impl OnTimeout {
    /// The word of the plan file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Pause => "pause",
            Self::Proceed => "proceed",
        }
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

/// `resume`, and how it treats drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResumeMode {
    /// Go on; drift stays drift.
    Plain,
    /// The live shares are the new truth.
    KeepLive,
    /// Ours are written again.
    Reassert,
    /// Drift stays drift, and the rules that appeared since the start are moved along.
    IncludeNew,
}

/// Why nothing is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Freeze {
    /// Someone else changed a route.
    Drift,
    /// Health, routes or the marker could not be read for a while.
    Unreadable,
    /// A raise gate did not hold in time.
    GateTimeout,
    /// A guard failed and the plan says `pause`.
    GuardFailed,
    /// The old cluster is in trouble.
    FromInTrouble,
    /// A write failed and the plan says `pause`.
    WriteFailed,
    /// A command or a hook failed and the plan says `pause`.
    HookFailed,
    /// The way back has no healthy target.
    NoWayBack,
    /// The lock or the marker is gone, and nobody else's is there.
    LockLost,
}

/// Something that a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// What kind of wait.
    pub reason: WaitReason,
    /// In words, with the numbers.
    pub message: String,
    /// When it ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// Every reason to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// A write without an answer is open until its deadline.
    OpenWrite,
    /// Not enough healthy targets yet, or not for long enough.
    RaiseGate,
    /// A metric gate that must pass does not, yet.
    MetricGate,
    /// Written and read back; not yet believed.
    Settle,
    /// Baking.
    Bake,
    /// Someone must approve.
    Approval,
    /// Someone paused the run.
    Paused,
    /// Frozen.
    Frozen,
    /// A guard is failing, but not for long enough yet.
    GuardFailing,
    /// Something cannot be read.
    Unreadable,
    /// A binding cannot be made yet.
    Binding,
    /// A command or a request is under way.
    Hook,
    /// The API's rate.
    Rate,
    /// The next part of a way back.
    Ramp,
    /// The journal cannot be written.
    Journal,
    /// It is not the time: `notBefore`, a window, a blackout.
    Window,
    /// A newer version wrote something into the run that this one does not know.
    Newer,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// All steps done.
    Completed,
    /// Traffic is back where it started, by itself.
    RolledBack,
    /// Traffic is back where it started (or at an earlier step's shares), because someone said so.
    Aborted,
}

/// Why a process left a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stop {
    /// An approval, a bake, `--until`; exit 8.
    Waiting,
    /// `^C`; exit 130.
    Interrupted,
    /// Drift; exit 7.
    Drift,
    /// Another owner; exit 6.
    Lock,
    /// Traffic is not where it should be; exit 5.
    Stuck,
}

/// What a rehearsal's clients saw between the end of a step's settling and its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The step whose shares were live.
    pub step: usize,
    /// Its name or kind, such as `setWeight: 5`.
    pub label: String,
    /// Each cluster's part.
    pub clusters: BTreeMap<ClusterName, MeasuredCluster>,
    /// All requests, third-party groups' included.
    pub requests: u64,
    /// Requests that a client saw fail (no answer, or 5xx).
    pub client_errors: u64,
}

/// One cluster's part of [`Measured`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredCluster {
    /// The share that the plan wants, in percent of the managed part.
    pub planned: f64,
    /// The share that clients saw, in percent of the managed part.
    pub seen: f64,
    /// Requests that it answered.
    pub requests: u64,
    /// Of those, with an error.
    pub client_errors: u64,
}
