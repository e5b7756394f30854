//! The plan as the rest of the crate sees it: checked, defaulted, durations as [`Duration`], shares as percentages by cluster.

pub mod hook;
pub mod metric;
pub mod notify;
pub mod skeleton;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::hours::Hours;

/// A cluster's name in the plan. It means nothing outside the plan.
pub type ClusterName = String;

/// A plan: linted, or read leniently from a journal ([`Plan::newer`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `metadata.name`, a DNS-1123 label.
    pub name: String,
    /// What the text was read from (`-` for standard input), for messages.
    pub source: String,
    /// The text itself, frozen into the journal.
    pub text: String,
    /// Lower-case hexadecimal SHA-256 of [`Plan::text`].
    pub hash: String,
    /// What this build does not know in the text, or cannot compute; empty in a linted plan. Such a run is guarded and rolled back, never raised.
    pub newer: Vec<String>,
    /// Twelve digits; credentials of any other account are refused.
    pub account_id: String,
    /// For example `ap-northeast-2`.
    pub region: String,
    /// Describe calls a second that looking may take, 0.1 to 1000, where the plan says so.
    pub api_budget: Option<f64>,
    /// In the order of the file, at least two.
    pub clusters: Vec<Cluster>,
    /// In the order of the file, at least one.
    pub workloads: Vec<Workload>,
    /// How the traffic moves.
    pub strategy: Strategy,
    /// Findings that this plan lives with.
    pub accept: Vec<Accept>,
    /// Whether a marker tag is put on the load balancers (`spec.marker`).
    pub marker: Marker,
    /// Where its runs are kept (`spec.state`).
    pub state: StatePlace,
    /// Who is told what (`spec.notifications`).
    pub notifications: Vec<notify::Notification>,
}

/// `spec.state`: where runs are kept, and the lock with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StatePlace {
    /// On the machine that runs them.
    #[default]
    Local,
    /// In a namespace of a cluster.
    Kubernetes {
        /// How the cluster is reached; never [`ClusterAccess::None`].
        access: ClusterAccess,
        /// The namespace, which must exist.
        namespace: String,
    },
}

impl std::fmt::Display for StatePlace {
    /// As `--state` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local | Self::Kubernetes { access: ClusterAccess::None, .. } => f.write_str("local"),
            Self::Kubernetes { access: ClusterAccess::Eks(name), namespace } => write!(f, "eks:{name}/{namespace}"),
            Self::Kubernetes { access: ClusterAccess::KubeContext(name), namespace } => {
                write!(f, "kubernetes:{name}/{namespace}")
            }
        }
    }
}

/// `spec.clusters[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name in the plan.
    pub name: ClusterName,
    /// How to reach its API server.
    pub access: ClusterAccess,
}

/// How a cluster's API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAccess {
    /// An EKS cluster's name: endpoint, CA and bearer token come from AWS.
    Eks(String),
    /// A context of the kubeconfig.
    KubeContext(String),
    /// Nothing in the plan needs this cluster's API.
    None,
}

/// `spec.workloads[]`: one Service in each cluster, or no Kubernetes side at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Unique within the plan.
    pub name: String,
    /// The Service, where the workload has one.
    pub service: Option<ServiceRef>,
    /// What is done about its TargetGroupBindings. Meaningless without a service.
    pub binding: BindingSpec,
    /// At least one.
    pub routes: Vec<RouteEntry>,
}

/// A Service's place, equal in every cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Port: a number or a name.
    pub port: PortRef,
}

/// A Service's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number, 1–65535.
    Number(u16),
    /// By name.
    Name(String),
}

/// `binding`.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingSpec {
    /// Who makes it.
    pub mode: BindingMode,
    /// `ip` or `instance`.
    pub target_type: TargetType,
    /// Further fields of the binding's `spec`, passed through as JSON (`networking`, `nodeSelector`, …).
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// `binding.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingMode {
    /// `bind` applies it where it does not exist.
    Create,
    /// Someone else owns it: read and compared, never made.
    Verify,
}

/// A target group's kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// Pods, by their addresses.
    Ip,
    /// Nodes.
    Instance,
}

/// `routes[].alb`: a load balancer and one target group per cluster on it.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteEntry {
    /// The load balancer.
    pub load_balancer: Selector,
    /// Which listeners; empty: all.
    pub listeners: Vec<ListenerRef>,
    /// One per cluster of the plan, in the plan's order of clusters.
    pub target_groups: Vec<(ClusterName, Selector)>,
    /// Which rules; `None`: every action in which the plan's starting groups carry weight.
    pub rules: Option<Vec<RuleRef>>,
    /// How many actions that must be.
    pub expect: Option<usize>,
}

/// How a load balancer or target group is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// By name.
    Name(String),
    /// By ARN.
    Arn(String),
    /// `tag:KEY=VALUE,…`: all must match, and exactly one resource.
    Tags(BTreeMap<String, String>),
}

/// How a listener is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerRef {
    /// By port.
    Port(u16),
    /// By ARN.
    Arn(String),
}

/// How a rule is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleRef {
    /// A listener's default action.
    Default,
    /// By priority, 1–50000.
    Priority(u32),
    /// By ARN.
    Arn(String),
}

/// `spec.strategy`.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// The cluster that carries the traffic at the start.
    pub from: ClusterName,
    /// The cluster that is to carry it.
    pub to: ClusterName,
    /// Between a write that reads back right and believing that it carries traffic.
    pub settle: Duration,
    /// What a failed guard does.
    pub on_failure: OnFailure,
    /// What a rollback does to sticky clients.
    pub rollback_stickiness: RollbackStickiness,
    /// How far apart two looks may be for a bake to count the time between them; `None`: three polls of one process.
    pub observe_every: Option<Duration>,
    /// When steps may begin.
    pub hours: Hours,
    /// The target health gates.
    pub gates: TargetHealthGates,
    /// The metric gates: the plan's, the workloads' and the steps', in the order of the file.
    pub metrics: Vec<metric::MetricGate>,
    /// Commands and requests before and after what a run does, in the order of the file.
    pub hooks: Vec<hook::Hook>,
    /// The shares that must be live at the start: `from` whole, unless the plan has only `setShares` steps (then `None`: whatever is live).
    pub start: Option<Shares>,
    /// The steps, numbered from 1 by their place.
    pub steps: Vec<Step>,
}

impl Strategy {
    /// The largest share that `cluster` ever has in this plan's steps, in percent.
    pub fn peak(&self, cluster: &str) -> u32 {
        self.steps
            .iter()
            .filter_map(|s| match &s.kind {
                StepKind::Shares(shares) => shares.get(cluster).copied(),
                _ => None,
            })
            .max()
            .unwrap_or(0)
    }
}

/// `strategy.onFailure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Put the traffic back.
    Rollback,
    /// Freeze, keep guarding, call a person.
    Pause,
}

/// `strategy.rollback.stickiness`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackStickiness {
    /// Drop the new group from actions with group stickiness, so that cookies stop working.
    Break,
    /// Leave it attached at weight 0.
    Keep,
}

/// `strategy.gates.targetHealth`.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetHealthGates {
    /// Before traffic moves.
    pub raise: RaiseGate,
    /// While it flows.
    pub guard: GuardGate,
    /// How long a raise gate may take.
    pub timeout: Duration,
    /// What happens then.
    pub on_timeout: OnFailure,
}

/// `raise`.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseGate {
    /// Healthy targets, at least.
    pub min_healthy: u32,
    /// Of the registered targets that are not draining, 0–100.
    pub min_healthy_percent: f64,
    /// Of share × the larger of baseline and today's healthy total; 1.0 is parity.
    pub capacity: f64,
    /// How long it must hold; `None`: three health check intervals of the group.
    pub stable_for: Option<Duration>,
}

/// `guard`.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardGate {
    /// 0–100.
    pub min_healthy_percent: f64,
    /// How long it may be below.
    pub for_: Duration,
}

/// One entry of `strategy.steps`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Optional and unique.
    pub name: Option<String>,
    /// What it does.
    pub kind: StepKind,
    /// How long an approval is waited for; `None`: for ever. Only with [`StepKind::Approval`].
    pub limit: Option<Limit>,
}

/// `pause.timeout` and `pause.onTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// From the beginning of the step.
    pub after: Duration,
    /// What happens then.
    pub then: OnTimeout,
}

/// `pause.onTimeout`.
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

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Attach the groups at weight 0, bind, wait for the raise gate.
    Bind,
    /// Move to these shares (`setWeight` and `setShares`).
    Shares(Shares),
    /// Bake for this long, under guard.
    Bake(Duration),
    /// Run a command, under guard.
    Exec(hook::Exec),
    /// Something that this build does not know; only in a plan that is newer than it, whose run is never raised.
    Unknown,
    /// Until approved, under guard; the text says what is to be approved.
    Approval(Option<String>),
}

/// Percentages of the managed part by cluster: every cluster of the plan is named, and they sum to 100.
pub type Shares = BTreeMap<ClusterName, u32>;

/// `spec.accept[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Accept {
    /// A finding's code, `CUTnnn`.
    pub code: String,
    /// Why this plan lives with it.
    pub reason: String,
}

/// `spec.marker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A tag on the load balancer (default).
    Tag,
    /// None: permissions do not allow it.
    None,
}

impl std::fmt::Display for PortRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl TargetType {
    /// `ip` or `instance`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Instance => "instance",
        }
    }
}
