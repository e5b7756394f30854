//! The checked plan, as the rest of the crate uses it: with defaults, durations as [`Duration`], shares as percentages
//! by cluster. Do not add parsing or checks.

pub mod hook;
pub mod metric;
pub mod notify;
pub mod skeleton;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::hours::Hours;

/// A cluster's name in the plan. It has no meaning outside of the plan.
pub type ClusterName = String;

/// A plan: linted, or read leniently from a journal ([`Plan::newer`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `metadata.name`, a DNS-1123 label.
    pub name: String,
    /// The file that the text was read from (`-` for standard input), for messages.
    pub source: String,
    /// The text itself, frozen into the journal.
    pub text: String,
    /// Lower-case hexadecimal SHA-256 of [`Plan::text`].
    pub hash: String,
    /// What this build does not know in the text or cannot compute; empty in a linted plan. A run with such a plan is
    /// guarded and rolled back, never raised.
    pub newer: Vec<String>,
    /// Twelve digits; credentials of any other account are refused.
    pub account_id: String,
    /// For example `ap-northeast-2`.
    pub region: String,
    /// Describe calls per second for observations, 0.1 to 1000, if the plan sets it.
    pub api_budget: Option<f64>,
    /// In the order of the file, at least two.
    pub clusters: Vec<Cluster>,
    /// In the order of the file, at least one.
    pub workloads: Vec<Workload>,
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
    /// In the format of `--state`.
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
    /// Access to its API server.
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

/// `spec.workloads[]`: a Service in some or all clusters, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Unique within the plan.
    pub name: String,
    /// Its Service in each cluster that has one; empty: no Kubernetes side at all.
    pub services: BTreeMap<ClusterName, ServiceRef>,
    /// How its TargetGroupBindings are managed; not used without a Service.
    pub binding: BindingSpec,
    /// At least one.
    pub routes: Vec<RouteEntry>,
}

/// A Service in a cluster.
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
    /// Who creates the binding.
    pub mode: BindingMode,
    /// `ip` or `instance`.
    pub target_type: TargetType,
    /// Further fields of the binding's `spec`, passed through as JSON (`networking`, `nodeSelector`, …).
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// `binding.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingMode {
    /// The `bind` step creates missing bindings.
    Create,
    /// Another tool owns the bindings: they are read and compared, never written.
    Verify,
}

/// The target type of a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// Pods, by their IP addresses.
    Ip,
    /// Nodes.
    Instance,
}

/// `routes[].alb`: a load balancer and one target group per cluster on it.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteEntry {
    /// The load balancer.
    pub load_balancer: Selector,
    /// The listeners; empty: all.
    pub listeners: Vec<ListenerRef>,
    /// One per cluster of the plan, in the plan's order of clusters.
    pub target_groups: Vec<(ClusterName, Selector)>,
    /// The rules; `None`: every default action and rule in which the starting clusters' groups carry weight.
    pub rules: Option<Vec<RuleRef>>,
    /// The required number of selected routes.
    pub expect: Option<usize>,
}

/// Selects a load balancer or target group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// By name.
    Name(String),
    /// By ARN.
    Arn(String),
    /// `tag:KEY=VALUE,…`: all tags must match, and exactly one resource must have them.
    Tags(BTreeMap<String, String>),
}

/// Selects a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerRef {
    /// By port.
    Port(u16),
    /// By ARN.
    Arn(String),
}

/// Selects a rule or a default action.
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
    /// The cluster that carries the traffic at the end.
    pub to: ClusterName,
    /// Time between a read-back and the assumption that traffic follows the weights.
    pub settle: Duration,
    /// What happens when a guard fails.
    pub on_failure: OnFailure,
    /// How a rollback treats sticky clients.
    pub rollback_stickiness: RollbackStickiness,
    /// Maximum time between two observations that a bake counts; `None`: three polls of one process.
    pub observe_every: Option<Duration>,
    /// When steps may begin.
    pub hours: Hours,
    /// The target health gates.
    pub gates: TargetHealthGates,
    /// The metric gates: the plan's, the workloads' and the steps', in the order of the file.
    pub metrics: Vec<metric::MetricGate>,
    /// Hooks, in the order of the file.
    pub hooks: Vec<hook::Hook>,
    /// The shares that must be live at the start: 100 for `from`; `None` if the plan has only `setShares` steps: any
    /// shares.
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

/// `strategy.onFailure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Roll back.
    Rollback,
    /// Freeze, continue to guard, notify.
    Pause,
}

/// `strategy.rollback.stickiness`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackStickiness {
    /// Detach the new group from actions with group stickiness, so that its cookies lose their effect.
    Break,
    /// Leave it attached at weight 0.
    Keep,
}

/// `strategy.gates.targetHealth`.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetHealthGates {
    /// Checked before a share rises.
    pub raise: RaiseGate,
    /// Checked while a group carries traffic.
    pub guard: GuardGate,
    /// Maximum time that a raise may wait for its gate.
    pub timeout: Duration,
    /// What happens after that time.
    pub on_timeout: OnFailure,
}

/// `raise`.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseGate {
    /// Minimum number of healthy targets.
    pub min_healthy: u32,
    /// Minimum percentage of the registered targets that are not draining, 0–100.
    pub min_healthy_percent: f64,
    /// Factor on share × the larger of baseline and today's healthy total; with 1.0 the new cluster needs as many
    /// targets as the old one.
    pub capacity: f64,
    /// For how long the gate must hold; `None`: three health check intervals of the group.
    pub stable_for: Option<Duration>,
}

/// `guard`.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardGate {
    /// Minimum percentage of healthy targets, 0–100.
    pub min_healthy_percent: f64,
    /// For how long the group may be below it.
    pub for_: Duration,
}

/// One entry of `strategy.steps`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Number of the step, from 1.
    pub number: usize,
    /// Name of the step, unique, if it has one.
    pub name: Option<String>,
    /// What it does.
    pub kind: StepKind,
    /// Time limit of an approval; `None`: unlimited. Only with [`StepKind::Approval`].
    pub approval_timeout: Option<ApprovalTimeout>,
}

/// `pause.timeout` and `pause.onTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalTimeout {
    /// Time from the beginning of the step.
    pub after: Duration,
    /// What happens after that time.
    pub then: OnTimeout,
}

/// `pause.onTimeout`.
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
    /// Returns the value in the plan file.
    pub fn word(self) -> String {
        crate::base::text::word(&self)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Attach the groups at weight 0, create bindings, wait for the raise gate.
    Bind,
    /// Move to these shares (`setWeight` and `setShares`).
    Shares(Shares),
    /// Bake for this long, under guard.
    Bake(Duration),
    /// Run a command, under guard.
    Exec(hook::ExecCommand),
    /// A step that this build does not know. Its plan is newer than the build, and the run is never raised.
    Unknown,
    /// Wait for approval, under guard; the text says what to approve.
    Approval(Option<String>),
}

/// Percentages of the managed part by cluster: all clusters of the plan, with a sum of 100.
pub type Shares = BTreeMap<ClusterName, u32>;

/// `spec.accept[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Accept {
    /// A finding's code, `CUTnnn`.
    pub code: String,
    /// Why the plan accepts it.
    pub reason: String,
}

/// `spec.marker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerMode {
    /// A tag on the load balancer (default).
    Tag,
    /// No marker: permissions do not allow the tag.
    None,
}

impl Workload {
    /// Its Service in a cluster, if it has one there.
    pub fn service(&self, cluster: &str) -> Option<&ServiceRef> {
        self.services.get(cluster)
    }

    /// Whether it has a Service in any cluster.
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
    /// Returns the type of a target group by its name in ELBv2; `None` for one that no binding can have.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Ip, Self::Instance].into_iter().find(|kind| kind.name() == name)
    }

    /// `ip` or `instance`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Instance => "instance",
        }
    }
}
