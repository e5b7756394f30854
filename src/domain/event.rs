//! What happens in a run, as values: the payload of the journal's records, of `--output json`, of `history` and `report`.
//!
//! A field is only ever added, with a default; an event is never renamed: every released journal stays readable.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::{Action, Forward};
use super::alb::RouteId;
use super::binding::Binding;
use super::gate::metric::Measurement;
use super::hook::{HookId, HookResult};
use super::verdict::judge::Call;
use crate::plan::model::notify::Kind;
use crate::plan::model::{ClusterName, OnTimeout, Shares};

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
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
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
        /// `applied`, `already`, `verified`.
        result: String,
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
        /// The forward that was read back, where it was.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        live: Option<Forward>,
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
        /// What we last saw; `None` on a deleted rule never applies.
        expected: Vec<Action>,
        /// What is there; `None`: the rule is gone.
        live: Option<Vec<Action>>,
    },
    /// Someone made a rule that forwards to a group that the run moves traffic away from.
    Appeared {
        /// The rule, as it would have stood in the start.
        route: Box<RouteStart>,
    },
    /// A gate failed.
    GateFailed {
        /// `guard`, `raise`.
        gate: String,
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
    /// A rehearsal's own measurement; never in a journal.
    Measured(Measured),
    /// What a run would have told somebody, in a rehearsal; never in a journal.
    Notified {
        /// `slack`, `webhook`, `exec`.
        to: String,
        /// What it is about.
        about: Kind,
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
            _ => None,
        }
    }
}

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

/// See [`Event::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Started {
    /// The plan's name.
    pub plan: String,
    /// The plan's text, frozen.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub hash: String,
    /// `alice@mac`.
    pub owner: String,
    /// The first step to do (`--from-step`), from 1.
    pub from_step: usize,
    /// The shares at the start, which a rollback returns to; `None`: what each route had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Shares>,
    /// ARNs of the load balancers.
    pub load_balancers: Vec<String>,
    /// Every route, with its actions as read.
    pub routes: Vec<RouteStart>,
    /// Listeners and rules that were there and are not the run's; `None` in journals that did not keep them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub others: Option<BTreeSet<RouteId>>,
    /// Every target group of the plan, by ARN.
    pub groups: BTreeMap<String, GroupStart>,
    /// UIDs of the clusters' `kube-system`, by cluster.
    pub clusters: BTreeMap<ClusterName, String>,
    /// The bindings that `bind` makes or verifies.
    pub bindings: Vec<BindingStart>,
}

/// A binding that `bind` deals with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingStart {
    /// In which cluster.
    pub cluster: ClusterName,
    /// The workload.
    pub workload: String,
    /// Whether it is made where it does not exist, or only compared.
    pub create: bool,
    /// What must be there.
    pub binding: Binding,
}

/// A route at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteStart {
    /// ARN of the listener (default action) or rule.
    pub id: RouteId,
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// `443 rule 15`.
    pub label: String,
    /// Its conditions in words.
    #[serde(default)]
    pub conditions: String,
    /// The workload that it belongs to.
    pub workload: String,
    /// The managed groups: ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
    /// Its actions as read: what a rollback returns to.
    pub actions: Vec<Action>,
    /// What was there when the run began, where that is something else: a rollback that knows the original actions from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found: Option<Vec<Action>>,
    /// Who else writes to it, as far as its tags and its load balancer's tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub owners: Vec<Owner>,
}

/// A tool that manages a resource, by a tag of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// Which.
    pub tool: Tool,
    /// The tag that says so, as `key=value`.
    pub tag: String,
}

/// Tools that write to load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tool {
    /// The AWS Load Balancer Controller, or EKS Auto Mode's.
    Controller,
    /// Terraform or one of its kin.
    Terraform,
    /// CloudFormation.
    CloudFormation,
}

/// A target group at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupStart {
    /// Name.
    pub name: String,
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// Workload.
    pub workload: String,
    /// Healthy targets: the baseline.
    pub healthy: u32,
    /// Seconds between its health checks.
    pub interval: u32,
    /// Whether cross-zone balancing is on for it.
    pub cross_zone: bool,
    /// Names of the zones that its load balancer has enabled; empty in journals that did not keep them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// Seconds of its deregistration delay.
    pub deregistration_delay: u32,
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Write {
    /// The route.
    pub route: RouteId,
    /// What must be there; `None`: whatever is there (a restoring write).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<Forward>,
    /// What is to be there.
    pub set: Forward,
}

/// A way back in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    /// The rule is gone.
    Gone,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
}

/// Targets of a group by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Healthy.
    pub healthy: u32,
    /// Initial.
    pub initial: u32,
    /// Unhealthy.
    pub unhealthy: u32,
    /// Unused.
    pub unused: u32,
    /// Draining.
    pub draining: u32,
    /// Unavailable.
    pub unavailable: u32,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
