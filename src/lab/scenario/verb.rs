//! The verbs of faults, one type for each verb.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::period::Period;

/// The verb `kill`: pods refuse connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kill {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// Percentage of the workload's pods. The default is all pods.
    pub percent: Option<u32>,
    /// Duration of the fault. Without it, the fault lasts until its `repair`. Without a `repair`, it lasts until the
    /// end of the rehearsal.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `slow`: pods respond late.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slow {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// Percentage of the workload's pods. The default is all pods.
    pub percent: Option<u32>,
    /// Delay that is added to the response time.
    pub by: Period,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `error`: pods respond with an error status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// Percentage of the workload's pods. The default is all pods.
    pub percent: Option<u32>,
    /// HTTP status of the error responses. The default is 500.
    pub status: Option<u16>,
    /// Percentage of the requests that fail. The default is all requests.
    pub requests: Option<u32>,
    /// Whether only clients get errors, while health checks still pass.
    #[serde(default)]
    pub clients_only: bool,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `flap`: pods stop and restart repeatedly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flap {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// Percentage of the workload's pods. The default is all pods.
    pub percent: Option<u32>,
    /// How long the pods are down each time.
    pub down: Period,
    /// How long the pods are up between two outages.
    pub up: Period,
    /// Number of outages. The default is no limit.
    pub times: Option<u32>,
}

/// The verb `scale`: changes the replicas of a Deployment or the limits of its HPA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// New value of the Deployment's `replicas`.
    pub replicas: Option<u32>,
    /// New value of the HPA's `minReplicas`.
    pub min: Option<u32>,
    /// New value of the HPA's `maxReplicas`.
    pub max: Option<u32>,
}

/// The verb `deploy`: rolls out a new version of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deploy {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan. The default is all workloads.
    pub workload: Option<String>,
    /// HTTP status with which the new version responds to health checks. The default is 200.
    pub health_status: Option<u16>,
}

/// The verb `partition`: an API is unreachable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Partition {
    /// The cluster whose API is unreachable.
    pub cluster: Option<String>,
    /// Whether the AWS API is unreachable.
    pub aws: bool,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `repair`: ends all lasting faults, or the lasting faults of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Repair {
    /// The cluster whose faults end. By default, all faults end.
    pub cluster: Option<String>,
}

/// The verb `throttle`: AWS rejects calls with the error `Throttling`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// Percentage of all calls that are throttled, in addition to the rate limits.
    pub percent: u32,
    /// Percentage of the token buckets' size and fill rate that remains. The default is no change.
    pub capacity: Option<u32>,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `stale`: AWS reads return an earlier state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stale {
    /// The age of the state that reads return.
    pub by: Period,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `late-write`: writes get no response and take effect later, or never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateWrite {
    /// Delay until the write takes effect; with `0s`, the write takes effect at once, and only the response is lost. By
    /// default, the write never takes effect.
    pub by: Option<Period>,
    /// Number of writes that the fault affects. The default is one.
    pub writes: Option<u32>,
}

/// The verb `expire-credentials`: AWS rejects the credentials as expired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExpireCredentials {
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `delete-rule`: another operator or tool deletes this rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuleRef {
    /// Name of the load balancer. The default is the first load balancer of the plan.
    pub load_balancer: Option<String>,
    /// Port of the listener. The default is the first listener of the load balancer.
    pub listener: Option<u16>,
    /// Priority of the rule. The default is the first rule of the listener.
    pub priority: Option<u32>,
}

/// The verb `remake-rule`: another operator or tool deletes a rule and creates a new rule with another priority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemakeRule {
    /// Name of the load balancer. The default is the first load balancer of the plan.
    #[serde(default)]
    pub load_balancer: Option<String>,
    /// Port of the listener. The default is the first listener of the load balancer.
    #[serde(default)]
    pub listener: Option<u16>,
    /// Priority of the rule. The default is the first rule of the listener.
    #[serde(default)]
    pub priority: Option<u32>,
    /// Priority of the new rule.
    pub to: u32,
}

/// The verb `change-conditions`: another operator or tool changes the conditions of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeConditions {
    /// Name of the load balancer. The default is the first load balancer of the plan.
    #[serde(default)]
    pub load_balancer: Option<String>,
    /// Port of the listener. The default is the first listener of the load balancer.
    #[serde(default)]
    pub listener: Option<u16>,
    /// Priority of the rule. The default is the first rule of the listener.
    #[serde(default)]
    pub priority: Option<u32>,
    /// Path pattern that becomes the only condition of the rule.
    pub path: String,
}

/// The verb `foreign-write`: another operator or tool changes the weights of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ForeignWrite {
    /// Name of the load balancer. The default is the first load balancer of the plan.
    pub load_balancer: Option<String>,
    /// Port of the listener. The default is the first listener of the load balancer.
    pub listener: Option<u16>,
    /// Priority of the rule. Without a priority, the default action is changed.
    pub priority: Option<u32>,
    /// New weights, by cluster or by name of a target group; other groups keep their weights.
    pub weights: BTreeMap<String, u16>,
}

/// The verb `haproxy`: an instance of HAProxy reloads, is down, or answers late.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HaproxyFault {
    /// Address of the instance in the plan. The default is the first instance.
    pub instance: Option<String>,
    /// What the instance does.
    pub does: InstanceFault,
    /// Delay of each answer of an instance that is `slow`. The default is 10 s.
    pub by: Option<Period>,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end. A reload has no
    /// duration.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// A fault of an instance of HAProxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InstanceFault {
    /// A new process replaces the old one, with the weights of the configuration.
    #[default]
    Reload,
    /// The process does not run: it refuses clients and commands. At the end of the fault it starts again, with the
    /// weights of the configuration.
    Down,
    /// The runtime API answers late. Clients are not affected.
    Slow,
}

/// The verb `crash`: the process that drives the run crashes and restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Crash {
    /// How long the process is down before it restarts.
    pub down: Period,
}

/// The verb `gate`: sets the result, in a rehearsal, of a metric gate that does not compare clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateFault {
    /// Name of the gate in the plan.
    pub name: String,
    /// Result of the gate while the fault is active.
    pub says: GateResult,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The verb `hook`: makes a command or hook of the plan fail in a rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookFault {
    /// Name in the plan of the command's step, or of the hook.
    pub name: String,
    /// Whether the step's undo command fails instead of its command.
    #[serde(default)]
    pub undo: bool,
    /// Duration of the fault. By default, the fault lasts until `repair`, otherwise until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// The result of a metric gate that does not pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateResult {
    /// The value is out of bounds, or the alarm is in state ALARM.
    #[default]
    Fail,
    /// The metric source has no data.
    NoData,
    /// The metric cannot be read.
    Unreadable,
}
