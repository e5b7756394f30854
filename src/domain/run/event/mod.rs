//! Represents the events of a run. Events are the payload of journal records and of `--output json`, and the source of
//! `history` and `report`.
//!
//! Every released journal must stay readable: new fields get a default, and events are never renamed. This module
//! ignores unknown fields; the journal detects them ([`Record::newer`]).

mod start;
mod values;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::header_rule::HeaderRuleEvent;
use super::hook::{HookId, HookResult};
use crate::domain::hand_over::{ItemDrained, ItemIntent, ItemOutcome};
use crate::domain::health::HealthCounts;
use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::traffic::{ClusterName, RouteContent, RouteId, Split};

pub use start::{BindingStart, EVACUATION_PLAN, GroupStart, NotMoved, RouteStart, Started, WaveStart};
pub use values::{
    BindResult, ClientMeasurement, ClusterMeasurement, DriftPolicy, FreezeReason, GateKind, IgnoredHours, MeasuredTime,
    OnTimeout, Ramp, RequestKind, ResumeMode, RunOutcome, StepType, StopReason, Trigger, Wait, WaitReason, Write,
    WriteResult,
};

/// The record version that this build writes.
pub const VERSION: u32 = 1;

/// One record of a journal. The JSON of a record is flat: the fields of the record, of the event, and in the journal a
/// checksum.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The sequence number, from 1, without gaps.
    pub seq: u64,
    /// The time at which the event was recorded.
    pub time: Timestamp,
    /// The run's id.
    pub run: String,
    /// The event.
    pub event: Event,
    /// The parts of the record that this build does not know; `None` if this build knows all parts.
    pub newer: Option<Box<UnknownParts>>,
}

impl Record {
    /// Creates a record of this version without unknown parts.
    pub fn new(seq: u64, time: Timestamp, run: impl Into<String>, event: Event) -> Self {
        Self { seq, time, run: run.into(), event, newer: None }
    }
}

/// The unknown parts of a record that a newer version wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownParts {
    /// A description of the unknown event, field or value, for messages.
    pub description: String,
    /// The original record, without its checksum.
    pub json: serde_json::Map<String, serde_json::Value>,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run started. The event has everything that a rollback needs.
    Started(Box<Started>),
    /// A process starts to drive the run (`run`, `resume`, `rollback`).
    ProcessStarted {
        /// The owner of the process, such as `alice@mac`.
        owner: String,
        /// The process id.
        pid: u32,
        /// The version of the program.
        tool: String,
        /// Whether the previous process stopped so recently that time-outs continue (`observeEvery`). With `false`,
        /// time-outs start again.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        continuous: bool,
    },
    /// A step begins.
    StepStarted {
        /// The number of the step, from 1.
        step: usize,
        /// The kind of the step.
        kind: StepType,
        /// The name or the action of the step, such as `setWeight: 5`.
        label: String,
    },
    /// A target group binding was created or verified.
    BindingDone {
        /// The cluster of the binding.
        cluster: ClusterName,
        /// The binding as `namespace/name`.
        binding: String,
        /// The result.
        result: BindResult,
    },
    /// A batch of writes is about to be sent.
    Intended {
        /// Whether the writes belong to a rollback. With `false`, the writes belong to a step.
        restore: bool,
        /// A write without a response can take effect until this time, but not later.
        deadline: Timestamp,
        /// The writes, each with the expected split and the split to set.
        writes: Vec<Write>,
    },
    /// A write of the batch has a result.
    Outcome {
        /// The id of the route.
        route: RouteId,
        /// The result.
        result: WriteResult,
        /// The split that was read back; `None` if the route was not read.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Split>,
        /// The reason, if the result is not `applied`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        detail: Option<String>,
    },
    /// The settle time after the last write of a step is over.
    Settled {
        /// The number of the step, from 1.
        step: usize,
    },
    /// A step is complete.
    StepDone {
        /// The number of the step, from 1.
        step: usize,
    },
    /// A bake made progress. Only observed time counts.
    Baked {
        /// The number of the step, from 1.
        step: usize,
        /// The total observed time of this bake, in milliseconds.
        millis: u64,
        /// The unobserved time since the previous record of this bake, in milliseconds. The bake lasts longer by this
        /// time.
        #[serde(default)]
        gap: u64,
        /// The time of the last observation that is included.
        until: Timestamp,
    },
    /// An approval step was approved.
    Approved {
        /// The number of the step, from 1.
        step: usize,
        /// The operator, such as `alice@mac`.
        by: String,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// An approval step was not approved before the time-out.
    TimedOut {
        /// The number of the step, from 1.
        step: usize,
        /// The time-out, in milliseconds.
        after: u64,
        /// The action that follows (`onTimeout`).
        then: OnTimeout,
    },
    /// An operator ended the current pause early, or all pauses of the run (`full`).
    Promoted {
        /// The number of the step, from 1.
        step: usize,
        /// Whether all pauses of the run end early.
        full: bool,
        /// The operator, such as `alice@mac`.
        by: String,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// An operator or a time-out paused the run: no share is raised.
    Paused {
        /// The operator, or `cutover` for an automatic pause.
        by: String,
        /// Why the run was paused; may be empty.
        reason: String,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// An operator resumed the run: shares may be raised again.
    Resumed {
        /// The operator, such as `alice@mac`.
        by: String,
        /// How changes by other actors are handled.
        mode: ResumeMode,
        /// Why and for which step the plan's hours are ignored, if the operator asked for this.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ignore_hours: Option<IgnoredHours>,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The run was frozen: no share is raised until the reason ends.
    Frozen {
        /// The kind of reason.
        reason: FreezeReason,
        /// The reason as text, with numbers.
        message: String,
    },
    /// The freeze ended, because the reason ended.
    Unfrozen {},
    /// Another actor changed a route.
    Drifted {
        /// The id of the route.
        route: RouteId,
        /// The content that the run last confirmed.
        expected: Box<RouteContent>,
        /// The content that AWS has now; `None` if the rule was deleted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Box<RouteContent>>,
    },
    /// Another actor changed the conditions of a rule, so that the rule handles other requests.
    ConditionsChanged {
        /// The id of the route.
        route: RouteId,
        /// The conditions that the run expects.
        before: String,
        /// The conditions that the rule has now. If equal to `before`, the rule has the expected conditions again.
        after: String,
    },
    /// Another actor created a rule that forwards to a group of the old cluster or replaces a deleted route.
    RuleCreated {
        /// The created rule, in the form of a route at the start of a run.
        route: Box<RouteStart>,
        /// The deleted route of the run that has the same conditions, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        replaces: Option<RouteId>,
    },
    /// An operator accepted that a load balancer is lost: the steps go on without its routes. A rollback tries them.
    LeftOut {
        /// The operator, such as `alice@mac`.
        by: String,
        /// The routes of the lost load balancer.
        routes: Vec<RouteId>,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A gate failed.
    GateFailed {
        /// The purpose of the gate.
        gate: GateKind,
        /// The ARN of the target group; empty for a metric gate.
        group: String,
        /// The reason as text, with numbers.
        message: String,
    },
    /// A metric gate has a new measurement.
    GateMeasured {
        /// The name of the gate.
        gate: String,
        /// The measured value and the measured window.
        measurement: Measurement,
    },
    /// The verdict of a metric gate changed.
    VerdictChanged {
        /// The name of the gate.
        gate: String,
        /// The new verdict.
        verdict: GateResult,
        /// The reason as text, with numbers.
        why: String,
        /// Whether the verdict has no effect (`dryRun`).
        #[serde(default)]
        dry_run: bool,
    },
    /// The compare gate has a different verdict, or other reasons for it.
    Compared(Comparison),
    /// A rollback starts.
    RollbackStarted {
        /// The cause of the rollback, as text.
        cause: String,
        /// The operator, or `cutover` for an automatic rollback.
        by: String,
        /// The trigger of the rollback.
        trigger: Trigger,
        /// The earlier step whose shares are restored (`abort --to-step`); `None` means the original shares.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to_step: Option<usize>,
        /// Whether to restore routes even if the old cluster has no healthy targets (`--force`).
        #[serde(default)]
        force: bool,
        /// `true`: routes with sticky clients lose the groups that get no share, so that cookies for these groups have no
        /// effect. `false`: an operator's rollback leaves these groups attached; an automatic one does what the plan says.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        break_stickiness: bool,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A rollback in stages starts, because an operator requested it for an old cluster that needs time to scale up.
    RampStarted {
        /// The cause of the rollback, as text.
        cause: String,
        /// The operator, such as `alice@mac`.
        by: String,
        /// The stages of the rollback.
        ramp: Ramp,
        /// Whether to restore routes even if the old cluster has no healthy targets (`--force`).
        #[serde(default)]
        force: bool,
        /// `true`: routes with sticky clients lose the groups that get no share, so that cookies for these groups have no
        /// effect. `false`: an operator's rollback leaves these groups attached; an automatic one does what the plan says.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        break_stickiness: bool,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The next stage of the rollback begins.
    Ramped {
        /// The stage, as a percentage of the way from the shares before the rollback to the restored shares, 1–100.
        percent: u32,
        /// The reason, if the stage begins before its time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        early: Option<String>,
    },
    /// A command or a web request is about to start.
    HookStarted {
        /// The id of the hook or command.
        hook: HookId,
        /// The command line or the address, for messages.
        action: String,
    },
    /// A command or a web request ended.
    HookEnded {
        /// The id of the hook or command.
        hook: HookId,
        /// The result.
        result: HookResult,
        /// The message that the hook or command returned, or why it failed.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        message: String,
    },
    /// The rules that send requests with certain headers to the new cluster changed (`setHeaderRoute`).
    HeaderRules(HeaderRuleEvent),
    /// `finalize --detach` starts to remove the old cluster's groups from the routes. From now on, a rollback is
    /// impossible.
    RetireStarted {
        /// The operator, such as `alice@mac`.
        by: String,
        /// Whether the old cluster's bindings are also deleted.
        bindings: bool,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A binding of the old cluster was deleted or left in place.
    BindingRemoved {
        /// The cluster of the binding.
        cluster: ClusterName,
        /// The binding as `namespace/name`.
        binding: String,
        /// Whether the binding was deleted. With `false`, the binding was left in place.
        deleted: bool,
        /// Why the binding was left in place; empty if it was deleted.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        why: String,
    },
    /// An item of a `handOver` step is about to be stopped or started.
    ItemIntended(ItemIntent),
    /// A write of an item has a result.
    ItemOutcome(Box<ItemOutcome>),
    /// Nothing of a stopped item runs any more.
    ItemDrained(ItemDrained),
    /// The run waits. Recorded when the reasons change.
    Waiting {
        /// The reasons to wait.
        waits: Vec<Wait>,
    },
    /// The target health of the groups that have or will have traffic. Recorded when the counts change; with many
    /// groups, only those whose counts changed since the last record.
    Health {
        /// The counts, by the ARN of the target group.
        groups: BTreeMap<String, HealthCounts>,
    },
    /// The original weights were saved in tags on the routes, for a rollback without this journal.
    WeightsTagged {
        /// The number of routes that were tagged.
        routes: usize,
        /// The routes that could not be tagged, each with the reason.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        missing: BTreeMap<RouteId, String>,
    },
    /// A message for the operator.
    Notice {
        /// The text of the message.
        message: String,
        /// The kind of operator request that was refused, if any. The message gives the reason.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refused: Option<RequestKind>,
        /// The store name of the operator request that caused the event, if any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The run ended.
    Finished {
        /// How the run ended.
        outcome: RunOutcome,
        /// Remarks for the operator, for example cookies that still lead to the new cluster.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        remarks: Vec<String>,
        /// Routes and commands that are not in the intended state and that this run can no longer change (a deleted
        /// rule, a command that was not undone), each with the reason. An operator must act.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        unresolved: Vec<String>,
        /// Changes by other actors that an operator accepted (`resume --keep-live`), so that routes are not as planned.
        /// Each text names the route.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        accepted: Vec<String>,
        /// Side effects of the run that an operator should know, for example that it broke stickiness. No action is
        /// needed.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        notes: Vec<String>,
    },
    /// The process stops driving the run; the run is not finished.
    Stopped {
        /// The kind of reason.
        reason: StopReason,
        /// A message for the operator: the live shares, who guards them, how to continue and how to roll back.
        message: String,
    },
    /// An event that this build does not know; see [`Record::newer`].
    #[serde(skip)]
    Unknown {
        /// The name of the event.
        kind: String,
    },
    /// The simulated clients of a rehearsal were measured. Never in a journal.
    ClientsMeasured(ClientMeasurement),
    /// A real run would send a notification. Only in a rehearsal, never in a journal.
    Notified {
        /// The kind of notification target: `slack`, `webhook` or `exec`.
        to: String,
        /// The event of the notification, by its name in the plan.
        about: String,
        /// The text of the notification.
        text: String,
    },
}

impl Event {
    /// Returns the store name of the operator request that caused this event. With this name, a request is not executed
    /// again after a crash between journalling the event and deleting the request.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Approved { request, .. }
            | Self::Promoted { request, .. }
            | Self::Paused { request, .. }
            | Self::Resumed { request, .. }
            | Self::LeftOut { request, .. }
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
            | Self::Compared(_)
            | Self::Ramped { .. }
            | Self::HookStarted { .. }
            | Self::HookEnded { .. }
            | Self::HeaderRules(_)
            | Self::BindingRemoved { .. }
            | Self::ItemIntended(_)
            | Self::ItemOutcome(_)
            | Self::ItemDrained(_)
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
