//! Represents the checked plan: with defaults, with durations as [`Duration`], and with shares as percentages by
//! cluster. Do not add parsing or checks.

mod hand_over;
mod header_route;
pub mod hook;
pub mod metric;
pub mod notify;
mod route;
pub mod skeleton;
mod wave;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use hand_over::{HandOver, ItemKind, ItemRef, ItemSelector};
pub use header_route::HeaderMatch;
pub use route::{BalancerKind, ListenerRef, RouteEntry, RuleRef, Selector};
pub use wave::{Wave, WaveScope};

use crate::base::hours::Hours;

/// A cluster's name in the plan. It has no meaning outside of the plan.
pub type ClusterName = String;

/// A plan: checked by `lint`, or read without checks from a journal (then see [`Plan::newer`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The plan's name (`metadata.name`), a DNS-1123 label.
    pub name: String,
    /// The file that the text was read from (`-` for standard input), for messages.
    pub source: String,
    /// The folder of that file, absolute: the plan's commands run there; `None` if it is not known.
    pub folder: Option<String>,
    /// The text of the plan file, which the journal stores.
    pub text: String,
    /// Lower-case hexadecimal SHA-256 of [`Plan::text`].
    pub hash: String,
    /// The parts of the text that this build does not know or cannot compute; empty in a checked plan. A run with
    /// unknown parts is guarded and can be rolled back, but is never raised.
    pub newer: Vec<String>,
    /// The AWS account, twelve digits. Credentials of any other account are refused. Empty if nothing of the plan is in
    /// AWS.
    pub account_id: String,
    /// The AWS region, for example `ap-northeast-2`. Empty if nothing of the plan is in AWS.
    pub region: String,
    /// Describe calls per second for observations, 0.1 to 1000, if the plan sets it.
    pub api_budget: Option<f64>,
    /// The clusters, at least two, in the order of the file.
    pub clusters: Vec<Cluster>,
    /// The workloads, at least one, in the order of the file.
    pub workloads: Vec<Workload>,
    /// The waves in the order in which they run; empty if all workloads move together.
    pub waves: Vec<Wave>,
    /// The wave to which this plan is narrowed: see [`Plan::narrowed`]. `None` for the plan of a file.
    pub wave: Option<WaveScope>,
    /// How the traffic moves.
    pub strategy: Strategy,
    /// Findings that the plan accepts.
    pub accept: Vec<Accept>,
    /// Whether a marker tag protects the load balancers (`spec.marker`).
    pub marker: MarkerMode,
    /// Where runs and locks are stored (`spec.state`).
    pub state: StateLocation,
    /// Notification targets (`spec.notifications`).
    pub notifications: Vec<notify::Notification>,
}

/// `spec.state`: where runs and locks are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StateLocation {
    /// On the machine that drives the run.
    #[default]
    Local,
    /// In a namespace of a cluster.
    Kubernetes {
        /// Access to the cluster; never [`ClusterAccess::None`].
        access: ClusterAccess,
        /// The namespace, which must exist.
        namespace: String,
    },
}

impl std::fmt::Display for StateLocation {
    /// Formats the location as the option `--state` expects it.
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

/// An entry of `spec.clusters`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The cluster's name in the plan.
    pub name: ClusterName,
    /// How to access the cluster's API server.
    pub access: ClusterAccess,
}

/// Access to a cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAccess {
    /// An EKS cluster's name: endpoint, CA and bearer token come from AWS.
    Eks(String),
    /// A context of the kubeconfig.
    KubeContext(String),
    /// No access: nothing in the plan needs this cluster's API.
    None,
}

/// An entry of `spec.workloads`: a Service in some or all clusters, or only target groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The workload's name, unique within the plan.
    pub name: String,
    /// The workload's Service in each cluster that has a Service; empty: only target groups.
    pub services: BTreeMap<ClusterName, ServiceRef>,
    /// How the workload's TargetGroupBindings are managed. Not used without a Service.
    pub binding: BindingSpec,
    /// The load balancers with their target groups; at least one.
    pub routes: Vec<RouteEntry>,
}

/// A Service in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRef {
    /// The namespace of the Service.
    pub namespace: String,
    /// The name of the Service.
    pub name: String,
    /// The port of the Service, by number or by name.
    pub port: PortRef,
}

/// A Service's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(untagged)]
pub enum PortRef {
    /// The number of the port, 1–65535.
    Number(u16),
    /// The name of the port.
    Name(String),
}

/// The field `binding`: how TargetGroupBindings are managed.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingSpec {
    /// Whether this program or another tool creates the binding.
    pub mode: BindingMode,
    /// The target type of the target group.
    pub target_type: TargetType,
    /// Other fields, which are copied to the `spec` of the binding (`networking`, `nodeSelector`, …).
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// The field `binding.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingMode {
    /// The `bind` step creates missing bindings.
    Create,
    /// Another tool owns the bindings. This program reads and compares the bindings, but never writes them.
    Verify,
}

/// The target type of a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// The targets are pods, registered by IP address.
    Ip,
    /// The targets are nodes, registered by instance ID.
    Instance,
}

/// The field `spec.strategy`: how the traffic moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// The cluster that has the traffic at the start.
    pub from: ClusterName,
    /// The cluster that has the traffic at the end.
    pub to: ClusterName,
    /// Time to wait after new weights were read back, until the traffic follows the weights.
    pub settle: Duration,
    /// The longest settle time of the routes: at least [`Strategy::settle`] if a route does not set one. Windows and
    /// estimates use it.
    pub longest_settle: Duration,
    /// What happens when a guard fails.
    pub on_failure: OnFailure,
    /// How a rollback treats sticky clients.
    pub rollback_stickiness: RollbackStickiness,
    /// Maximum time between two observations that a bake counts; `None` means three polls of one process.
    pub observe_every: Option<Duration>,
    /// The times at which steps may begin.
    pub hours: Hours,
    /// The target health gates.
    pub gates: TargetHealthGates,
    /// The compare gate; `None` if the clusters are not compared.
    pub compare: Option<CompareGate>,
    /// The metric gates of the workloads, the plan and the steps, in this order.
    pub metrics: Vec<metric::MetricGate>,
    /// The hooks, in the order of the file.
    pub hooks: Vec<hook::Hook>,
    /// The shares that AWS must have at the start: 100 for `from`; `None` means any shares, because the plan has only
    /// `setShares` steps.
    pub start: Option<Shares>,
    /// The steps, numbered from 1.
    pub steps: Vec<Step>,
}

impl Strategy {
    /// Returns the largest share of `cluster` in any step of this plan, in percent.
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

/// The field `strategy.onFailure`: what happens when a guard fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Roll back.
    Rollback,
    /// Freeze the run, continue to guard, and notify.
    Pause,
}

/// The field `strategy.rollback.stickiness`: how a rollback treats sticky clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackStickiness {
    /// Detach the new group from actions with group stickiness, so that its cookies lose their effect.
    Break,
    /// Leave the new group attached at weight 0.
    Keep,
}

/// The field `strategy.gates.targetHealth`: gates on the health of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetHealthGates {
    /// The gate that is checked before a share is raised.
    pub raise: RaiseGate,
    /// The gate that is checked while a group has traffic.
    pub guard: GuardGate,
    /// Maximum time that the increase of a share may wait for its gate.
    pub timeout: Duration,
    /// What happens if the raise gate does not pass within `timeout`.
    pub on_timeout: OnFailure,
}

/// The field `strategy.gates.compare`: a comparison of both clusters before a raise.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareGate {
    /// Maximum age of the facts before a raise.
    pub every: Duration,
    /// Findings that hold no raise.
    pub ignore: Vec<Accept>,
}

/// The field `targetHealth.raise`: the conditions on a group before its share is raised.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseGate {
    /// Minimum number of healthy targets.
    pub min_healthy: u32,
    /// Minimum percentage of healthy targets among the registered targets that are not draining, 0–100.
    pub min_healthy_percent: f64,
    /// Required healthy targets per share: a factor on share × the larger of the baseline and the current healthy
    /// total. With 1.0 the new cluster needs as many targets as the old one.
    pub capacity: f64,
    /// How long the conditions must be met without interruption; `None` means three health check intervals of the
    /// group.
    pub stable_for: Option<Duration>,
}

/// The field `targetHealth.guard`: the conditions on a group while the group has traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardGate {
    /// Minimum percentage of healthy targets, 0–100.
    pub min_healthy_percent: f64,
    /// How long the group may be below `min_healthy_percent`.
    pub for_: Duration,
}

/// One entry of `strategy.steps`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The number of the step, from 1.
    pub number: usize,
    /// The unique name of the step; `None` if the plan gives no name.
    pub name: Option<String>,
    /// The action of the step.
    pub kind: StepKind,
    /// Time limit of an approval; `None` means no limit. Only with [`StepKind::Approval`].
    pub approval_timeout: Option<ApprovalTimeout>,
}

/// The fields `pause.timeout` and `pause.onTimeout`: the time limit of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalTimeout {
    /// The time limit, from the beginning of the step.
    pub after: Duration,
    /// What happens when the time limit is reached.
    pub then: OnTimeout,
}

/// The field `pause.onTimeout`: what happens when an approval is not given in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Roll back.
    Rollback,
    /// Pause the run, and notify.
    Pause,
    /// Continue as if the step had been approved.
    Proceed,
}

impl OnTimeout {
    /// Returns the name of the value in the plan file.
    pub fn word(self) -> String {
        crate::base::text::word(&self)
    }
}

/// The action of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Attach the groups at weight 0, create bindings, and wait for the raise gate.
    Bind,
    /// Set these shares (`setWeight` and `setShares`).
    Shares(Shares),
    /// Bake for this duration. The guard is on.
    Bake(Duration),
    /// Run a command. The guard is on.
    Exec(hook::ExecCommand),
    /// Send the requests with these headers to the new cluster; without headers, end this.
    HeaderRoute(Vec<HeaderMatch>),
    /// Hand over CronJobs and workers. The guard is on.
    HandOver(HandOver),
    /// A step that this build does not know, because the plan is newer than the build. The run is never raised.
    Unknown,
    /// Wait for an approval. The guard is on. The text says what to approve.
    Approval(Option<String>),
}

/// Percentages of the managed part by cluster: all clusters of the plan, with a sum of 100.
pub type Shares = BTreeMap<ClusterName, u32>;

/// An entry of `spec.accept`: a finding that the plan accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Accept {
    /// The code of the finding, `CUTnnn`.
    pub code: String,
    /// The object of the finding, for a finding of the comparison; `None` means every object.
    pub object: Option<String>,
    /// Why the plan accepts the finding.
    pub reason: String,
}

/// The field `spec.marker`: whether a marker tag protects the load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerMode {
    /// A marker tag on the load balancer (default).
    Tag,
    /// No marker, because the permissions do not allow the tag.
    None,
}

impl Workload {
    /// Returns the workload's Service in a cluster; `None` if the workload has no Service in this cluster.
    pub fn service(&self, cluster: &str) -> Option<&ServiceRef> {
        self.services.get(cluster)
    }

    /// Whether the workload has a Service in any cluster.
    pub fn has_service(&self) -> bool {
        !self.services.is_empty()
    }
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
    /// Returns the target type with this name in ELBv2; `None` for a type that no binding can have.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Ip, Self::Instance].into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name of the type: `ip` or `instance`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Instance => "instance",
        }
    }
}
