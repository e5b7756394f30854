//! The events of a run: the payload of journal records and of `--output json`, and the source of `history` and
//! `report`.
//!
//! Every released journal must stay readable: new fields get a default, and events are never renamed. Unknown fields
//! are ignored here; the journal detects them ([`Record::newer`]).

mod start;
mod values;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hook::{HookId, HookResult};
use crate::domain::health::HealthCounts;
use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::traffic::{ClusterName, RouteContent, RouteId, Split};

pub use start::{BindingStart, GroupStart, RouteStart, Started};
pub use values::{
    BindResult, ClientMeasurement, ClusterMeasurement, DriftPolicy, FreezeReason, GateKind, OnTimeout, Ramp,
    RequestKind, ResumeMode, RunOutcome, StepType, StopReason, Trigger, Wait, WaitReason, Write, WriteResult,
};

/// The record version that this build writes.
pub const VERSION: u32 = 1;

/// One record of a journal. Its JSON is flat: the fields of the event beside these and, in the journal, a checksum.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Sequence number, from 1, without gaps.
    pub seq: u64,
    /// When the event was recorded.
    pub time: Timestamp,
    /// The run's id.
    pub run: String,
    /// The event.
    pub event: Event,
    /// The part of the record that this build does not know; `None` where it knows everything.
    pub newer: Option<Box<UnknownParts>>,
}

impl Record {
    /// Returns a record of this version.
    pub fn new(seq: u64, time: Timestamp, run: impl Into<String>, event: Event) -> Self {
        Self { seq, time, run: run.into(), event, newer: None }
    }
}

/// The unknown part of a record that a newer version wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownParts {
    /// The unknown event, field or value, as text for a message.
    pub description: String,
    /// The original record, without its checksum.
    pub json: serde_json::Map<String, serde_json::Value>,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run exists. Holds everything that a rollback needs.
    Started(Box<Started>),
    /// A process starts to drive the run (`run`, `resume`, `rollback`).
    ProcessStarted {
        /// `alice@mac`.
        owner: String,
        /// Process id.
        pid: u32,
        /// Version of the program.
        tool: String,
        /// The previous process stopped so recently that time-outs continue instead of starting again (`observeEvery`).
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        continuous: bool,
    },
    /// A step begins.
    StepStarted {
        /// From 1.
        step: usize,
        /// Kind of step.
        kind: StepType,
        /// Its name or its action, such as `setWeight: 5`.
        label: String,
    },
    /// A target group binding was created or verified.
    BindingDone {
        /// The cluster of the binding.
        cluster: ClusterName,
        /// `namespace/name`.
        binding: String,
        /// The result.
        result: BindResult,
    },
    /// A batch of writes is about to be sent.
    Intended {
        /// `true`: the writes restore the original shares (rollback). `false`: they move traffic forward.
        restore: bool,
        /// A write without an answer can still take effect until this time, not later.
        deadline: Timestamp,
        /// What each write expects and sets.
        writes: Vec<Write>,
    },
    /// The result of one write of the batch.
    Outcome {
        /// The route.
        route: RouteId,
        /// The result.
        result: WriteResult,
        /// The split that was read back, if it was read.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Split>,
        /// The reason, where the result is not `applied`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        detail: Option<String>,
    },
    /// The settle time after the last write of a step is over.
    Settled {
        /// Number of the step, from 1.
        step: usize,
    },
    /// A step is complete.
    StepDone {
        /// Number of the step, from 1.
        step: usize,
    },
    /// Progress of a bake. Only observed time counts.
    Baked {
        /// Number of the step, from 1.
        step: usize,
        /// Total observed milliseconds of this bake.
        millis: u64,
        /// Unobserved milliseconds that were just added to the bake; 0 if none.
        #[serde(default)]
        gap: u64,
        /// Time of the last observation that is counted.
        until: Timestamp,
    },
    /// An approval step was approved.
    Approved {
        /// Number of the step, from 1.
        step: usize,
        /// By whom.
        by: String,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// Nobody approved an approval step before its time-out.
    TimedOut {
        /// Number of the step, from 1.
        step: usize,
        /// The time-out, in milliseconds.
        after: u64,
        /// What happens next (`onTimeout`).
        then: OnTimeout,
    },
    /// The current pause (with `full`: every pause) ends early.
    Promoted {
        /// Number of the step, from 1.
        step: usize,
        /// `true`: every pause of the run.
        full: bool,
        /// By whom.
        by: String,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// An operator, or `onFailure: pause`, stops the raises.
    Paused {
        /// By whom, or `cutover`.
        by: String,
        /// Why.
        reason: String,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// An operator resumes the raises.
    Resumed {
        /// By whom.
        by: String,
        /// How drift is handled.
        mode: ResumeMode,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// Raises stop until the reason is gone.
    Frozen {
        /// Why.
        reason: FreezeReason,
        /// The reason as text, with numbers.
        message: String,
    },
    /// The reason for the freeze is gone.
    Unfrozen {},
    /// Another actor changed a route.
    Drifted {
        /// The route.
        route: RouteId,
        /// The content that we last confirmed.
        expected: Box<RouteContent>,
        /// The content that AWS has now; `None`: the rule was deleted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Box<RouteContent>>,
    },
    /// Another actor changed the conditions of a rule: it handles other requests now.
    ConditionsChanged {
        /// The route.
        route: RouteId,
        /// The conditions that the run expects.
        before: String,
        /// The conditions that the rule has now; equal to `before`: it has the expected ones again.
        after: String,
    },
    /// Another actor created a rule that forwards to a group of the old cluster, or that replaces a deleted route.
    RuleCreated {
        /// The rule, in the form of a route at the start.
        route: Box<RouteStart>,
        /// The deleted route of the run whose conditions the rule has.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        replaces: Option<RouteId>,
    },
    /// A gate failed.
    GateFailed {
        /// Raise or guard.
        gate: GateKind,
        /// The target group's ARN.
        group: String,
        /// The reason as text, with numbers.
        message: String,
    },
    /// A metric gate has a new measurement.
    GateMeasured {
        /// The gate's name.
        gate: String,
        /// The measured values and their time range.
        measurement: Measurement,
    },
    /// The verdict of a metric gate changed.
    VerdictChanged {
        /// The gate's name.
        gate: String,
        /// The new verdict.
        verdict: GateResult,
        /// The reason as text, with numbers.
        why: String,
        /// `true`: dry run; the verdict has no effect.
        #[serde(default)]
        dry_run: bool,
    },
    /// A rollback starts.
    RollbackStarted {
        /// Why.
        cause: String,
        /// By whom, or `cutover`.
        by: String,
        /// What started it.
        trigger: Trigger,
        /// Roll back to the shares of this earlier step (`abort --to-step`); `None`: to the original shares.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to_step: Option<usize>,
        /// `true`: `--force`; roll back even if the old cluster has no healthy targets.
        #[serde(default)]
        force: bool,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A rollback in stages starts, as requested by an operator, for an old cluster that needs time to scale up.
    RampStarted {
        /// Why.
        cause: String,
        /// By whom.
        by: String,
        /// The stages.
        ramp: Ramp,
        /// `true`: `--force`; roll back even if the old cluster has no healthy targets.
        #[serde(default)]
        force: bool,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The next stage of the rollback begins.
    Ramped {
        /// Percent of the rollback, 1–100.
        percent: u32,
        /// The reason, where the stage begins before its time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        early: Option<String>,
    },
    /// A command or a web request is about to start.
    HookStarted {
        /// The hook.
        hook: HookId,
        /// The command line or address.
        action: String,
    },
    /// A command or a web request ended.
    HookEnded {
        /// The hook.
        hook: HookId,
        /// The result.
        result: HookResult,
        /// Its output, or why it failed.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        message: String,
    },
    /// `finalize --detach` starts: the old cluster's groups are removed from the routes. Rollback is impossible from
    /// here on.
    RetireStarted {
        /// By whom.
        by: String,
        /// `true`: the old cluster's bindings are deleted, too.
        bindings: bool,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A binding of the old cluster was deleted or left in place.
    BindingRemoved {
        /// The cluster of the binding.
        cluster: ClusterName,
        /// `namespace/name`.
        binding: String,
        /// `true`: it is deleted. `false`: it was left in place.
        deleted: bool,
        /// Why it was left in place; empty if it is deleted.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        why: String,
    },
    /// The run waits. Written when the reasons change.
    Waiting {
        /// The reasons.
        waits: Vec<Wait>,
    },
    /// Target health of the groups that carry or will carry traffic. Written when the counts change.
    Health {
        /// Counts by target group ARN.
        groups: BTreeMap<String, HealthCounts>,
    },
    /// The original weights were saved in tags on the routes, for a rollback without this journal.
    WeightsTagged {
        /// Number of routes that were tagged.
        routes: usize,
        /// Routes that could not be tagged, and why.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        missing: BTreeMap<RouteId, String>,
    },
    /// A message for the operator.
    Notice {
        /// The text.
        message: String,
        /// The kind of operator request that was refused; the text says why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refused: Option<RequestKind>,
        /// Store name of the operator request behind it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The run ended.
    Finished {
        /// How.
        outcome: RunOutcome,
        /// Remarks for the operator, for example cookies that still lead to the new cluster.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        remarks: Vec<String>,
        /// What is not in its intended state and what this run can no longer change (a deleted rule, a command that was
        /// not undone), each with the reason. A person must act.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        unresolved: Vec<String>,
        /// What is not as planned because another actor changed it and an operator accepted that
        /// (`resume --keep-live`), each with its route.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        accepted: Vec<String>,
    },
    /// The process stops driving the run; the run is not finished.
    Stopped {
        /// Why.
        reason: StopReason,
        /// What is live, who guards it, how to continue and how to roll back.
        message: String,
    },
    /// An event that this build does not know; see [`Record::newer`].
    #[serde(skip)]
    Unknown {
        /// The event's name.
        kind: String,
    },
    /// A measurement of a rehearsal. Never in a journal.
    ClientsMeasured(ClientMeasurement),
    /// A notification that a real run would send. Only in a rehearsal, never in a journal.
    Notified {
        /// `slack`, `webhook`, `exec`.
        to: String,
        /// The subject, as spelled in the plan.
        about: String,
        /// The text.
        text: String,
    },
}

impl Event {
    /// Returns the store name of the operator request that this event answers. A crash between journaling the event and
    /// deleting the request must not repeat the request.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Approved { request, .. }
            | Self::Promoted { request, .. }
            | Self::Paused { request, .. }
            | Self::Resumed { request, .. }
            | Self::RollbackStarted { request, .. }
            | Self::RampStarted { request, .. }
            | Self::RetireStarted { request, .. }
            | Self::Notice { request, .. } => request.as_deref(),
            Self::Started(_)
            | Self::ProcessStarted { .. }
            | Self::StepStarted { .. }
            | Self::BindingDone { .. }
            | Self::Intended { .. }
            | Self::Outcome { .. }
            | Self::Settled { .. }
            | Self::StepDone { .. }
            | Self::Baked { .. }
            | Self::TimedOut { .. }
            | Self::Frozen { .. }
            | Self::Unfrozen {}
            | Self::Drifted { .. }
            | Self::ConditionsChanged { .. }
            | Self::RuleCreated { .. }
            | Self::GateFailed { .. }
            | Self::GateMeasured { .. }
            | Self::VerdictChanged { .. }
            | Self::Ramped { .. }
            | Self::HookStarted { .. }
            | Self::HookEnded { .. }
            | Self::BindingRemoved { .. }
            | Self::Waiting { .. }
            | Self::Health { .. }
            | Self::WeightsTagged { .. }
            | Self::Finished { .. }
            | Self::Stopped { .. }
            | Self::Unknown { .. }
            | Self::ClientsMeasured(_)
            | Self::Notified { .. } => None,
        }
    }
}
