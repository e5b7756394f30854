//! A scenario as it is written: what a lab's world has beyond what the plan says, and what goes wrong in it.
//!
//! Everything is optional. Clusters may be called by the plan's names, or `from` and `to`, so that one scenario fits many plans.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::period::Period;

/// A scenario: the inhabitants of a lab and its faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always `cutover.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Scenario`.
    pub kind: ScenarioKind,
    /// Who it is.
    pub metadata: Metadata,
    /// What it says.
    #[serde(default)]
    pub spec: Spec,
}

/// The version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first one.
    #[default]
    #[serde(rename = "cutover.dev/v1alpha1")]
    V1Alpha1,
}

/// The kind of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScenarioKind {
    /// A scenario.
    #[default]
    Scenario,
}

/// `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The scenario's name.
    pub name: String,
}

/// `spec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spec {
    /// What load balancers have beyond the plan.
    pub load_balancers: Vec<LoadBalancer>,
    /// What target groups have beyond the plan.
    pub target_groups: Vec<TargetGroup>,
    /// What clusters have beyond the plan.
    pub clusters: Vec<Cluster>,
    /// How long things take.
    pub latency: Latency,
    /// How many calls AWS takes.
    pub limits: Limits,
    /// What clients ask.
    pub load: Load,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// `spec.loadBalancers[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadBalancer {
    /// Which one, by name; omitted: every load balancer of the plan.
    pub name: Option<String>,
    /// Attributes such as `load_balancing.cross_zone.enabled`.
    pub attributes: BTreeMap<String, String>,
    /// Tags, such as those of a controller or of Terraform.
    pub tags: BTreeMap<String, String>,
    /// Group stickiness on every action that forwards.
    pub stickiness: Option<Stickiness>,
    /// Groups in every action that belong to no cluster of the plan, with their weights; omitted: `NAME-default` at 0.
    pub third_party: Option<BTreeMap<String, u16>>,
    /// Listeners, in place of those that the plan implies.
    pub listeners: Vec<Listener>,
}

/// `stickiness`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stickiness {
    /// How long a cookie is good for, from 1 s to 7 d.
    pub duration: Period,
}

/// `listeners[]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// 1–65535.
    pub port: u16,
    /// `HTTP` or `HTTPS`; omitted: `HTTPS` on 443, else `HTTP`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Its actions; the one without a priority is the default action. Omitted: what the plan implies.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// `rules[]`: a listener's default action, or a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// 1–50000; omitted: the default action.
    pub priority: Option<u32>,
    /// Path patterns, up to five.
    pub paths: Vec<String>,
    /// Host patterns.
    pub hosts: Vec<String>,
    /// The plan's workload whose groups it forwards to; omitted: the first on this load balancer.
    pub workload: Option<String>,
    /// Weights by cluster (its groups) or by the name of a group; omitted: all on `from`, the others at 0.
    pub weights: Option<BTreeMap<String, u16>>,
    /// Group stickiness of this action.
    pub stickiness: Option<Stickiness>,
    /// Answers with this status instead of forwarding.
    pub fixed_response: Option<u16>,
}

/// `spec.targetGroups[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TargetGroup {
    /// Which ones: of this cluster; omitted: of any.
    pub cluster: Option<String>,
    /// Which one, by name; omitted: any.
    pub name: Option<String>,
    /// How targets are probed.
    pub health_check: HealthCheck,
    /// Attributes such as `deregistration_delay.timeout_seconds`.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether the actions that the plan implies already have it; omitted: yes.
    pub attached: Option<bool>,
}

/// `healthCheck`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthCheck {
    /// 5–300 s; 10 s here where nothing is said.
    pub interval: Option<Period>,
    /// 2–120 s; 5 s.
    pub timeout: Option<Period>,
    /// Passed probes until a failing target is healthy again, 2–10; 5.
    pub healthy_threshold: Option<u32>,
    /// Failed probes until a target is unhealthy, 2–10; 2.
    pub unhealthy_threshold: Option<u32>,
    /// `/health_check`.
    pub path: Option<String>,
    /// `200`.
    pub matcher: Option<String>,
}

/// `spec.clusters[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The plan's name, or `from`, or `to`.
    pub name: String,
    /// Kubernetes version, such as `1.33`.
    pub version: Option<String>,
    /// Whether it is EKS Auto Mode, with the API group `eks.amazonaws.com` for bindings.
    pub auto_mode: bool,
    /// What every workload there is like.
    pub workload: Workload,
    /// What single workloads there are like, by the plan's names.
    pub workloads: BTreeMap<String, Workload>,
}

/// What a workload is like in one cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Workload {
    /// Pods; 4.
    pub replicas: Option<u32>,
    /// From a pod's start until it serves; 10 s.
    pub startup: Option<Period>,
    /// How long a pod goes on serving after it was told to end; 45 s.
    pub pre_stop: Option<Period>,
    /// The port that pods listen on; 8080.
    pub port: Option<u16>,
    /// Status of every answer to a health check; 200.
    pub health_status: Option<u16>,
    /// Whether pods carry the controller's readiness gates.
    pub readiness_gates: Option<bool>,
    /// What scales it; omitted: nothing.
    pub hpa: Option<Hpa>,
    /// Its TargetGroupBinding at the start.
    pub binding: Option<Binding>,
    /// `false`: there is no such Service in this cluster.
    pub exists: Option<bool>,
    /// Who manages its objects.
    pub owner: Option<GitOps>,
}

/// `hpa`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hpa {
    /// `minReplicas`, from 1.
    pub min: u32,
    /// `maxReplicas`.
    pub max: u32,
    /// The pods that it would like to have whatever the load; omitted: the replicas of the start times the share that the cluster carries.
    #[serde(default)]
    pub wants: Option<u32>,
}

/// `binding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Binding {
    /// Whether it is there; omitted: in `from`, and where the plan says `mode: verify`.
    pub exists: Option<bool>,
    /// `multiClusterTargetGroup`.
    pub multi_cluster: bool,
    /// Binds this group instead of the plan's, by name or ARN.
    pub target_group: Option<String>,
}

/// What manages objects from outside the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GitOps {
    /// Argo CD's tracking annotation.
    ArgoCd,
    /// Helm's label and annotations.
    Helm,
    /// Flux's labels.
    Flux,
    /// Nothing.
    None,
}

/// `latency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Latency {
    /// Of an AWS call.
    pub aws: Period,
    /// Of a Kubernetes call.
    pub kubernetes: Period,
    /// From a written weight until it steers traffic, at least.
    pub propagation_min: Period,
    /// From a written weight until it steers traffic, at most.
    pub propagation_max: Period,
    /// From a registration until the first health check.
    pub registration: Period,
    /// From a change in a cluster until a controller has acted on it.
    pub controller: Period,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            aws: Period::millis(60),
            kubernetes: Period::millis(15),
            propagation_min: Period::millis(500),
            propagation_max: Period::millis(5000),
            registration: Period::millis(3000),
            controller: Period::millis(1000),
        }
    }
}

/// `limits`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// ModifyRule, ModifyListener, tags, and what else changes.
    pub modify: Bucket,
    /// Describe calls.
    pub describe: Bucket,
    /// RegisterTargets and DeregisterTargets.
    pub register: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        let bucket = |burst, per_second| Bucket { burst, per_second };
        Self { modify: bucket(20.0, 3.0), describe: bucket(200.0, 50.0), register: bucket(20.0, 4.0) }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// How many calls it takes at once.
    pub burst: f64,
    /// How many it takes for ever.
    pub per_second: f64,
}

/// `load`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Load {
    /// Requests a second of the lab's time, over all routes; omitted: the shell chooses.
    pub requests_per_second: Option<f64>,
    /// Distinct clients, each with its own cookie jar.
    pub clients: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests_per_second: None, clients: 200 }
    }
}
