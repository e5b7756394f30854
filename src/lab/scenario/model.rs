//! The file format of scenarios: the lab's settings beyond the plan, and its faults.
//!
//! Everything is optional. Clusters may be named as in the plan, or `from` and `to`, so that one scenario fits many
//! plans.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::period::Period;

/// A scenario: settings of a lab and its faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always `cutover.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Scenario`.
    pub kind: ScenarioKind,
    /// Name of the scenario.
    pub metadata: Metadata,
    /// Settings and faults.
    #[serde(default)]
    pub spec: Spec,
}

/// The version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first version.
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
    /// Settings of load balancers.
    pub load_balancers: Vec<LoadBalancer>,
    /// Settings of target groups.
    pub target_groups: Vec<TargetGroup>,
    /// Settings of clusters and their workloads.
    pub clusters: Vec<Cluster>,
    /// Delays of the APIs and controllers.
    pub latency: Latency,
    /// Rate limits of the AWS API.
    pub limits: Limits,
    /// Load that the clients generate.
    pub load: Load,
    /// Faults: what goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// `spec.loadBalancers[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadBalancer {
    /// Name of the load balancer; omitted: every load balancer of the plan.
    pub name: Option<String>,
    /// Attributes such as `load_balancing.cross_zone.enabled`.
    pub attributes: BTreeMap<String, String>,
    /// Tags, such as those of a controller or of Terraform.
    pub tags: BTreeMap<String, String>,
    /// Group stickiness of every forward action.
    pub stickiness: Option<Stickiness>,
    /// Third-party target groups in every action, with their weights; omitted: `NAME-default` at 0.
    pub third_party: Option<BTreeMap<String, u16>>,
    /// Listeners; omitted: as the plan implies.
    pub listeners: Vec<Listener>,
}

/// `stickiness`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stickiness {
    /// Lifetime of the cookie, from 1 s to 7 d.
    pub duration: Period,
}

/// `listeners[]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Port, 1–65535.
    pub port: u16,
    /// `HTTP` or `HTTPS`; omitted: `HTTPS` on 443, else `HTTP`.
    pub protocol: Option<String>,
    /// Its default action (the entry without a priority) and rules; omitted: as the plan implies.
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
    /// Priority, 1–50000; omitted: the default action.
    pub priority: Option<u32>,
    /// Path patterns, up to five.
    pub paths: Vec<String>,
    /// Host patterns.
    pub hosts: Vec<String>,
    /// The plan's workload whose groups it forwards to; omitted: the load balancer's first.
    pub workload: Option<String>,
    /// Weights by cluster (its groups) or by name of a group; omitted: `from` has all, others 0.
    pub weights: Option<BTreeMap<String, u16>>,
    /// Group stickiness of this action.
    pub stickiness: Option<Stickiness>,
    /// Answer with this status instead of forwarding.
    pub fixed_response: Option<u16>,
}

/// `spec.targetGroups[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TargetGroup {
    /// Groups of this cluster; omitted: any.
    pub cluster: Option<String>,
    /// Name of the group; omitted: any.
    pub name: Option<String>,
    /// Health check settings.
    pub health_check: HealthCheck,
    /// Attributes such as `deregistration_delay.timeout_seconds`.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is attached at the start; omitted: yes.
    pub attached: Option<bool>,
    /// `ip` or `instance`; omitted: the plan's `binding.targetType`.
    pub target_type: Option<TargetType>,
}

/// The type of a group's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TargetType {
    /// Pods, by their IP addresses.
    Ip,
    /// Nodes.
    Instance,
}

/// `healthCheck`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthCheck {
    /// Interval, 5–300 s; default 10 s.
    pub interval: Option<Period>,
    /// Time-out, 2–120 s; default 5 s.
    pub timeout: Option<Period>,
    /// Successful checks until an unhealthy target is healthy, 2–10; default 5.
    pub healthy_threshold: Option<u32>,
    /// Failed checks until a target is unhealthy, 2–10; default 2.
    pub unhealthy_threshold: Option<u32>,
    /// Path; default `/health_check`.
    pub path: Option<String>,
    /// Status codes of success; default `200`.
    pub matcher: Option<String>,
}

/// `spec.clusters[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub name: String,
    /// Kubernetes version, such as `1.33`.
    pub version: Option<String>,
    /// Whether it is EKS Auto Mode, whose bindings have the API group `eks.amazonaws.com`.
    pub auto_mode: bool,
    /// Fields of TargetGroupBinding's `spec` that its CRD does not have yet, such as `vpcID`.
    pub missing_binding_fields: Vec<String>,
    /// Settings of all its workloads.
    pub workload: Workload,
    /// Settings of single workloads, by the plan's names.
    pub workloads: BTreeMap<String, Workload>,
}

/// Settings of a workload in one cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Workload {
    /// Number of pods; default 4.
    pub replicas: Option<u32>,
    /// Time from a pod's start until it serves; default 10 s.
    pub startup: Option<Period>,
    /// Time that a terminating pod continues to serve; default 45 s.
    pub pre_stop: Option<Period>,
    /// Port of the pods; default 8080.
    pub port: Option<u16>,
    /// Status of every health check; default 200.
    pub health_status: Option<u16>,
    /// Whether pods have the load balancer controller's readiness gates.
    pub readiness_gates: Option<bool>,
    /// Its HorizontalPodAutoscaler; omitted: none.
    pub hpa: Option<Hpa>,
    /// Its TargetGroupBinding at the start.
    pub binding: Option<Binding>,
    /// `false`: the cluster has no such Service.
    pub exists: Option<bool>,
    /// The tool that manages its objects.
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
    /// Replicas that it wants whatever the load; omitted: the initial replicas times the cluster's share.
    pub wants: Option<u32>,
}

/// `binding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Binding {
    /// Whether it exists at the start; omitted: in `from`, and if the plan says `mode: verify`.
    pub exists: Option<bool>,
    /// `multiClusterTargetGroup`.
    pub multi_cluster: bool,
    /// Name or ARN of another group that it binds; omitted: the plan's.
    pub target_group: Option<String>,
}

/// A tool that manages objects from outside the cluster.
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
    /// Minimum time from a weight's write until traffic follows it.
    pub propagation_min: Period,
    /// Maximum time from a weight's write until traffic follows it.
    pub propagation_max: Period,
    /// From a target's registration until its first health check.
    pub registration: Period,
    /// From a change in a cluster until a controller acts on it.
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
    /// ModifyRule, ModifyListener, tags and other writes.
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
    /// Size of the bucket, in calls.
    pub burst: f64,
    /// Fill rate, in calls a second.
    pub per_second: f64,
}

/// `load`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Load {
    /// Requests a second of the lab's time, over all routes; omitted: 1500 a second of real time, in virtual time
    /// 20,000 a step.
    pub requests_per_second: Option<f64>,
    /// Distinct clients, each with its own cookie jar.
    pub clients: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests_per_second: None, clients: 200 }
    }
}
