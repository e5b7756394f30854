//! What happens in a run, as values: the payload of the journal's records, of `--output json`, of `history` and `report`.
//!
//! A field is only ever added, with a default; an event is never renamed: every released journal stays readable. Unknown fields are read over here, and found
//! in the journal ([`Record::newer`]).

mod part;
mod start;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hook::{HookId, HookResult};
use crate::domain::health::Counts;
use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::Call;
use crate::domain::traffic::{ClusterName, Content, RouteId, Split};

pub use part::{
    BindResult, Freeze, GateKind, Measured, MeasuredCluster, OnTimeout, Outcome, Ramp, RequestKind, ResumeMode,
    StepType, Stop, Wait, WaitReason, Write, WriteResult,
};
pub use start::{BindingStart, GroupStart, RouteStart, Started};

/// The version of the records.
pub const VERSION: u32 = 1;

/// One record of a journal. Its JSON has the event's own fields beside these, and a checksum in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// The run's id.
    pub run: String,
    /// What.
    pub event: Event,
    /// What a newer version has put into it; `None`: nothing that this build does not know.
    pub newer: Option<Box<Newer>>,
}

/// What a record of a newer version holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Newer {
    /// Which event, field or value that is, in words.
    pub what: String,
    /// The record as it was written, without its checksum.
    pub json: serde_json::Map<String, serde_json::Value>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run exists: everything that it must remember to put things back.
    Started(Box<Started>),
    /// A process took the run in hand (`run`, `resume`, `rollback`).
    Claimed {
        /// `alice@mac`.
        owner: String,
        /// Its process id.
        pid: u32,
        /// The tool's version.
        tool: String,
        /// Time-outs go on from the process before it, which left so lately that the plan counts the looks of both as one.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        onward: bool,
    },
    /// A step begins.
    StepStarted {
        /// From 1.
        step: usize,
        /// Its kind.
        kind: StepType,
        /// Its name, or what it does, such as `setWeight: 5`.
        label: String,
    },
    /// A binding was dealt with.
    Bound {
        /// In which cluster.
        cluster: ClusterName,
        /// `namespace/name`.
        binding: String,
        /// What became of it.
        result: BindResult,
    },
    /// Writes that are about to be sent.
    Intended {
        /// Whether they restore (a rollback's) rather than move on.
        restore: bool,
        /// No answer after this time means no effect after it either.
        deadline: Timestamp,
        /// What each expects and sets.
        writes: Vec<Write>,
    },
    /// What became of one of them.
    Outcome {
        /// The route.
        route: RouteId,
        /// What became of it.
        result: WriteResult,
        /// The split that was read back, where it was.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Split>,
        /// Why, where it is not `applied`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        detail: Option<String>,
    },
    /// The settle time after the last write of a step is over.
    Settled {
        /// The step.
        step: usize,
    },
    /// A step is complete.
    StepDone {
        /// The step.
        step: usize,
    },
    /// Baking so far, in observed time.
    Baked {
        /// The step.
        step: usize,
        /// Observed milliseconds of its bake, all told.
        millis: u64,
        /// Milliseconds without a look that were just added to the bake; 0: none.
        #[serde(default)]
        gap: u64,
        /// The look up to which it is counted.
        until: Timestamp,
    },
    /// An approval step was approved.
    Approved {
        /// The step.
        step: usize,
        /// By whom.
        by: String,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// Nobody approved an approval step in time.
    TimedOut {
        /// The step.
        step: usize,
        /// Milliseconds that the plan gave it.
        after: u64,
        /// What happens now.
        then: OnTimeout,
    },
    /// The current pause (or with `full` every one) ends early.
    Promoted {
        /// The step.
        step: usize,
        /// Every pause of the run.
        full: bool,
        /// By whom.
        by: String,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A person, or `onFailure: pause`, stops the raises.
    Paused {
        /// By whom, or `cutover`.
        by: String,
        /// Why.
        reason: String,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// Raises may go on.
    Resumed {
        /// By whom.
        by: String,
        /// What is done about drift.
        mode: ResumeMode,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// No raises until the reason is gone.
    Frozen {
        /// Why.
        reason: Freeze,
        /// In words, with the numbers.
        message: String,
    },
    /// The reason is gone.
    Thawed {},
    /// Someone else changed a route.
    Drifted {
        /// The route.
        route: RouteId,
        /// What we last saw.
        expected: Box<Content>,
        /// What is there; `None`: the route is gone.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Box<Content>>,
    },
    /// Someone made a rule that forwards to a group that the run moves traffic away from.
    Appeared {
        /// The rule, as it would have stood in the start.
        route: Box<RouteStart>,
    },
    /// A gate failed.
    GateFailed {
        /// What the gate is for.
        gate: GateKind,
        /// The target group's ARN.
        group: String,
        /// In words, with the numbers.
        message: String,
    },
    /// A metric gate was measured.
    Sampled {
        /// The gate's name.
        gate: String,
        /// What was seen, and about which time.
        measurement: Measurement,
    },
    /// A metric gate says something else than before.
    Judged {
        /// The gate's name.
        gate: String,
        /// What it says.
        call: Call,
        /// In words, with the numbers.
        why: String,
        /// It is only watched: nothing follows from it.
        #[serde(default)]
        dry_run: bool,
    },
    /// The traffic goes back.
    RollbackStarted {
        /// Why.
        cause: String,
        /// By whom, or `cutover`.
        by: String,
        /// Back to the shares of this earlier share step (`abort --to-step`); `None`: the original shares.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to_step: Option<usize>,
        /// `true`: a person insisted, and a way back without healthy targets does not refuse.
        #[serde(default)]
        force: bool,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The traffic goes back in parts, as a person asked: for a way back that is cold.
    RampStarted {
        /// Why.
        cause: String,
        /// By whom.
        by: String,
        /// The parts.
        ramp: Ramp,
        /// `true`: a person insisted, and a way back without healthy targets does not refuse.
        #[serde(default)]
        force: bool,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The next part of the way back begins.
    Ramped {
        /// Percent of the way, 1–100.
        percent: u32,
        /// Why it begins before its time, where it does.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        early: Option<String>,
    },
    /// A command or a request is about to be made.
    HookStarted {
        /// Which.
        hook: HookId,
        /// In words.
        what: String,
    },
    /// What became of it.
    HookEnded {
        /// Which.
        hook: HookId,
        /// What became of it.
        result: HookResult,
        /// What it said, or why it failed.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        message: String,
    },
    /// The old cluster's groups are taken out of the actions of a run that is over; from here on nothing leads back.
    DetachStarted {
        /// By whom.
        by: String,
        /// Whether the old cluster's bindings are deleted, too.
        bindings: bool,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// A binding of the old cluster was dealt with.
    Unbound {
        /// In which cluster.
        cluster: ClusterName,
        /// `namespace/name`.
        binding: String,
        /// Whether it is gone; `false`: it was left there.
        gone: bool,
        /// Why it was left there; empty where it was not.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        why: String,
    },
    /// What the run waits for; written when the reasons change.
    Waiting {
        /// The reasons.
        waits: Vec<Wait>,
    },
    /// Health of the groups that carry or will carry traffic; written when the counts change.
    Health {
        /// By target group ARN.
        groups: BTreeMap<String, Counts>,
    },
    /// The original weights were put into tags on the routes, for a rollback without this journal.
    Kept {
        /// On how many routes.
        routes: usize,
        /// Routes where that failed, and why.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        missing: BTreeMap<RouteId, String>,
    },
    /// Something that a person should read.
    Notice {
        /// The text.
        message: String,
        /// The kind of a request that is not carried out, where the text says why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refused: Option<RequestKind>,
        /// The request that it comes from, by its name in the store; `None`: from none that is left there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request: Option<String>,
    },
    /// The run ends.
    Finished {
        /// How.
        outcome: Outcome,
        /// What a person must know, such as cookies that still lead to the new cluster.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        remarks: Vec<String>,
        /// What is not as it was to be, and this run cannot change any more, such as a deleted rule or a command that was not taken back, each with
        /// why: a person is needed.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        left: Vec<String>,
    },
    /// The process ends and leaves the run.
    Stopped {
        /// Why.
        reason: Stop,
        /// What is live, who watches, how to go on and how to go back.
        message: String,
    },
    /// Something that this build does not know; see [`Record::newer`].
    #[serde(skip)]
    Unknown {
        /// The event's name.
        kind: String,
    },
    /// A rehearsal's own measurement; never in a journal.
    Measured(Measured),
    /// What a run would have told somebody, in a rehearsal; never in a journal.
    Notified {
        /// `slack`, `webhook`, `exec`.
        to: String,
        /// What it is about, in the plan's word for it.
        about: String,
        /// The text.
        text: String,
    },
}

impl Event {
    /// The request that it answers, by its name in the store: a crash between journalling it and removing the request must not repeat it.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Approved { request, .. }
            | Self::Promoted { request, .. }
            | Self::Paused { request, .. }
            | Self::Resumed { request, .. }
            | Self::RollbackStarted { request, .. }
            | Self::RampStarted { request, .. }
            | Self::DetachStarted { request, .. }
            | Self::Notice { request, .. } => request.as_deref(),
            Self::Started(_)
            | Self::Claimed { .. }
            | Self::StepStarted { .. }
            | Self::Bound { .. }
            | Self::Intended { .. }
            | Self::Outcome { .. }
            | Self::Settled { .. }
            | Self::StepDone { .. }
            | Self::Baked { .. }
            | Self::TimedOut { .. }
            | Self::Frozen { .. }
            | Self::Thawed {}
            | Self::Drifted { .. }
            | Self::Appeared { .. }
            | Self::GateFailed { .. }
            | Self::Sampled { .. }
            | Self::Judged { .. }
            | Self::Ramped { .. }
            | Self::HookStarted { .. }
            | Self::HookEnded { .. }
            | Self::Unbound { .. }
            | Self::Waiting { .. }
            | Self::Health { .. }
            | Self::Kept { .. }
            | Self::Finished { .. }
            | Self::Stopped { .. }
            | Self::Unknown { .. }
            | Self::Measured(_)
            | Self::Notified { .. } => None,
        }
    }
}
