//! The file format of scenarios: settings of the lab that are not in the plan, and faults.
//!
//! Every field is optional. Clusters can be named as in the plan, or `from` and `to`, so that one scenario fits many
//! plans.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::period::Period;
use super::places::Places;

/// A scenario: settings of a lab, and faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always `cutover.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Scenario`.
    pub kind: ScenarioKind,
    /// The `metadata` of the scenario, with its name.
    pub metadata: Metadata,
    /// Settings of the lab, and faults.
    #[serde(default)]
    pub spec: Spec,
    /// Where the faults are in the file.
    #[serde(skip)]
    pub places: Places,
}

/// The version of the scenario file format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The version `cutover.dev/v1alpha1`.
    #[default]
    #[serde(rename = "cutover.dev/v1alpha1")]
    V1Alpha1,
}

/// The value of `kind` in a scenario file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScenarioKind {
    /// The kind `Scenario`.
    #[default]
    Scenario,
}

/// The value of `metadata` in a scenario file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the scenario.
    pub name: String,
}

/// The value of `spec` in a scenario file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spec {
    /// Settings of load balancers.
    pub load_balancers: Vec<LoadBalancer>,
    /// Settings of target groups.
    pub target_groups: Vec<TargetGroup>,
    /// Settings of clusters and their workloads.
    pub clusters: Vec<Cluster>,
    /// Latencies of the APIs and delays of the controllers.
    pub latency: Latency,
    /// Rate limits of the AWS API.
    pub limits: Limits,
    /// Load that the clients generate.
    pub load: Load,
    /// Faults: what goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// An entry of `spec.loadBalancers[]`: settings of one or all load balancers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadBalancer {
    /// Name of the load balancer. The default is every load balancer of the plan.
    pub name: Option<String>,
    /// Attributes such as `load_balancing.cross_zone.enabled`.
    pub attributes: BTreeMap<String, String>,
    /// Tags, such as those of a controller or of Terraform.
    pub tags: BTreeMap<String, String>,
    /// Group stickiness of every forward action. The default is no stickiness.
    pub stickiness: Option<Stickiness>,
    /// Third-party target groups in every action, with their weights. The default is `NAME-default` at 0.
    pub third_party: Option<BTreeMap<String, u16>>,
    /// Listeners. By default, they are as the plan implies.
    pub listeners: Vec<Listener>,
}

/// The setting `stickiness`: a cookie keeps a client at one target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stickiness {
    /// Lifetime of the cookie, from 1 s to 7 d.
    pub duration: Period,
}

/// An entry of `listeners[]`: a listener of the load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Port, 1–65535.
    pub port: u16,
    /// `HTTP` or `HTTPS`. The default is `HTTPS` on 443, else `HTTP`. On a Network Load Balancer: `TCP` or `TLS`.
    pub protocol: Option<String>,
    /// Rules, and the default action as an entry without a priority. By default, they are as the plan implies.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Tags of the listener.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An entry of `rules[]`: a rule, or the default action of the listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// Priority, 1–50000. An entry without a priority is the default action.
    pub priority: Option<u32>,
    /// Path patterns, up to five.
    pub paths: Vec<String>,
    /// Host patterns.
    pub hosts: Vec<String>,
    /// The plan's workload whose target groups the rule forwards to. The default is the first workload on the load
    /// balancer.
    pub workload: Option<String>,
    /// Weights by cluster (for its target groups) or by name of a target group. By default, the weights follow the shares
    /// at the start.
    pub weights: Option<BTreeMap<String, u16>>,
    /// Group stickiness of this action. The default is the setting of the load balancer.
    pub stickiness: Option<Stickiness>,
    /// HTTP status of a fixed response. Without a status, the rule forwards.
    pub fixed_response: Option<u16>,
}

/// An entry of `spec.targetGroups[]`: settings of the target groups that match `cluster` and `name`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TargetGroup {
    /// Cluster of the target groups. The default is any cluster.
    pub cluster: Option<String>,
    /// Name of the target group. Without it, the groups may have any name.
    pub name: Option<String>,
    /// Health check settings.
    pub health_check: HealthCheck,
    /// Attributes such as `deregistration_delay.timeout_seconds`.
    pub attributes: BTreeMap<String, String>,
    /// Tags of the target group.
    pub tags: BTreeMap<String, String>,
    /// Whether the target group is attached at the start. The default is `true`.
    pub attached: Option<bool>,
    /// Type of the targets: `ip`, `instance`, or `lambda` for an old side. The default is the plan's
    /// `binding.targetType`.
    pub target_type: Option<TargetType>,
}

/// The type of the targets in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TargetType {
    /// Pods, registered by their IP addresses.
    Ip,
    /// Nodes, registered by their instance ids.
    Instance,
    /// A function. AWS shows one target without health checks; in the lab, the pods of the cluster answer its requests.
    Lambda,
}

/// The value of `healthCheck`: health check settings of a target group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthCheck {
    /// Interval, 5–300 s; default 10 s.
    pub interval: Option<Period>,
    /// Time-out, 2–120 s; default 5 s.
    pub timeout: Option<Period>,
    /// Number of successful checks after which an unhealthy target is healthy, 2–10; default 5.
    pub healthy_threshold: Option<u32>,
    /// Number of failed checks after which a target is unhealthy, 2–10; default 2.
    pub unhealthy_threshold: Option<u32>,
    /// Path of the check; default `/health_check`.
    pub path: Option<String>,
    /// HTTP status codes that count as success, such as `200-299`; default `200`.
    pub matcher: Option<String>,
}

/// An entry of `spec.clusters[]`: settings of a cluster and its workloads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub name: String,
    /// Kubernetes version, such as `1.33`.
    pub version: Option<String>,
    /// Whether the cluster is in EKS Auto Mode, where bindings have the API group `eks.amazonaws.com`, and targets are
    /// registered only in target groups with the tag `eks:eks-cluster-name`. Groups with a binding at the start have
    /// this tag.
    pub auto_mode: bool,
    /// Fields of TargetGroupBinding's `spec` that the cluster's CRD does not have, such as `vpcID`.
    pub missing_binding_fields: Vec<String>,
    /// Settings of all workloads in the cluster.
    pub workload: Workload,
    /// Settings of single workloads, by name in the plan. They override `workload`.
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
    /// HTTP status of the response to every health check; default 200.
    pub health_status: Option<u16>,
    /// Whether pods have the readiness gates of the load balancer controller.
    pub readiness_gates: Option<bool>,
    /// The HorizontalPodAutoscaler of the workload. By default, there is no HPA.
    pub hpa: Option<Hpa>,
    /// The TargetGroupBinding of the workload at the start.
    pub binding: Option<Binding>,
    /// Whether the cluster has the workload. With `false`, the cluster does not have the Service of the workload.
    pub exists: Option<bool>,
    /// The GitOps tool that manages the objects of the workload. The default is Argo CD if the plan has `mode: verify`,
    /// otherwise no tool.
    pub owner: Option<GitOps>,
}

/// The value of `hpa`: settings of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hpa {
    /// The value of `minReplicas`, from 1.
    pub min: u32,
    /// The value of `maxReplicas`.
    pub max: u32,
    /// Number of replicas that the HPA requests whatever the load. The default is the initial replicas times the
    /// cluster's share.
    pub wants: Option<u32>,
}

/// The value of `binding`: settings of a TargetGroupBinding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Binding {
    /// Whether the binding exists at the start. By default, it exists in `from`, in clusters with traffic at the start,
    /// and if the plan has `mode: verify`.
    pub exists: Option<bool>,
    /// The value of `multiClusterTargetGroup`.
    pub multi_cluster: bool,
    /// Name or ARN of another target group that the binding refers to. The default is the group in the plan.
    pub target_group: Option<String>,
}

/// A tool that manages Kubernetes objects from outside the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GitOps {
    /// Argo CD, which sets its tracking annotation.
    ArgoCd,
    /// Helm, which sets its label and annotations.
    Helm,
    /// Flux, which sets its labels.
    Flux,
    /// No tool manages the objects.
    None,
}

/// The value of `spec.latency`: delays of the APIs and controllers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Latency {
    /// Latency of an AWS call.
    pub aws: Period,
    /// Latency of a Kubernetes call.
    pub kubernetes: Period,
    /// Minimum time from a write of weights until traffic follows these weights.
    pub propagation_min: Period,
    /// Maximum time from a write of weights until traffic follows these weights.
    pub propagation_max: Period,
    /// Time from the registration of a target until its first health check.
    pub registration: Period,
    /// Time from a change in a cluster until the controllers act on this change.
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

/// The value of `spec.limits`: rate limits of AWS calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Limit of ModifyRule, ModifyListener, tag writes and other writes.
    pub modify: Bucket,
    /// Limit of Describe calls.
    pub describe: Bucket,
    /// Limit of RegisterTargets and DeregisterTargets.
    pub register: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        let bucket = |burst, per_second| Bucket { burst, per_second };
        Self { modify: bucket(20.0, 3.0), describe: bucket(200.0, 50.0), register: bucket(20.0, 4.0) }
    }
}

/// The settings of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// Size of the bucket, in calls.
    pub burst: f64,
    /// Fill rate, in calls per second.
    pub per_second: f64,
}

/// The value of `spec.load`: the requests of the simulated clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Load {
    /// Requests per second of the lab's time, over all routes. The default is 1500 per second of real time, or in
    /// virtual time 20,000 per step.
    pub requests_per_second: Option<f64>,
    /// Number of distinct clients, each with its own cookie.
    pub clients: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests_per_second: None, clients: 200 }
    }
}
