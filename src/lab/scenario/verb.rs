//! The verbs of faults: one type each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::period::Period;

/// `kill`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kill {
    /// The cluster's name in the plan, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// Percentage of its pods; omitted: all.
    pub percent: Option<u32>,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `slow`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slow {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// Percentage of its pods; omitted: all.
    pub percent: Option<u32>,
    /// Additional response time.
    pub by: Period,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `error`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// Percentage of its pods; omitted: all.
    pub percent: Option<u32>,
    /// Status of the errors; omitted: 500.
    pub status: Option<u16>,
    /// Percentage of the requests that fail; omitted: all.
    pub requests: Option<u32>,
    /// `true`: only clients get errors, health checks still pass.
    #[serde(default)]
    pub clients_only: bool,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `flap`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flap {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// Percentage of its pods; omitted: all.
    pub percent: Option<u32>,
    /// How long they are down each time.
    pub down: Period,
    /// How long they are up in between.
    pub up: Period,
    /// How many times; omitted: without end.
    pub times: Option<u32>,
}

/// `scale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// The Deployment's `replicas`.
    pub replicas: Option<u32>,
    /// The HPA's `minReplicas`.
    pub min: Option<u32>,
    /// The HPA's `maxReplicas`.
    pub max: Option<u32>,
}

/// `deploy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deploy {
    /// The plan's name of the cluster, or `from`, or `to`.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    pub workload: Option<String>,
    /// Status of the new version's health checks; omitted: 200.
    pub health_status: Option<u16>,
}

/// `partition`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Partition {
    /// The cluster whose API is unreachable.
    pub cluster: Option<String>,
    /// `true`: the AWS API is unreachable.
    pub aws: bool,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `repair`: ends all lasting faults, or those of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Repair {
    /// Only faults of this cluster.
    pub cluster: Option<String>,
}

/// `throttle`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// Percentage of all calls that are throttled, besides the limits.
    pub percent: u32,
    /// Percentage of the token buckets' size and fill rate that remains.
    pub capacity: Option<u32>,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `stale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stale {
    /// Age of the state that reads return.
    pub by: Period,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `late-write`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateWrite {
    /// Delay until the write is carried out; `0s`: at once, only the answer is lost. Omitted: never.
    pub by: Option<Period>,
    /// How many writes; omitted: one.
    pub writes: Option<u32>,
}

/// `expire-credentials`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExpireCredentials {
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `delete-rule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuleRef {
    /// The load balancer, by name; omitted: the plan's first.
    pub load_balancer: Option<String>,
    /// The listener's port; omitted: its first.
    pub listener: Option<u16>,
    /// The rule's priority; omitted: the listener's first rule.
    pub priority: Option<u32>,
}

/// `remake-rule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemakeRule {
    /// The load balancer, by name; omitted: the plan's first.
    #[serde(default)]
    pub load_balancer: Option<String>,
    /// The listener's port; omitted: its first.
    #[serde(default)]
    pub listener: Option<u16>,
    /// The rule's priority; omitted: the listener's first rule.
    #[serde(default)]
    pub priority: Option<u32>,
    /// The priority of the new rule.
    pub to: u32,
}

/// `change-conditions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeConditions {
    /// The load balancer, by name; omitted: the plan's first.
    #[serde(default)]
    pub load_balancer: Option<String>,
    /// The listener's port; omitted: its first.
    #[serde(default)]
    pub listener: Option<u16>,
    /// The rule's priority; omitted: the listener's first rule.
    #[serde(default)]
    pub priority: Option<u32>,
    /// The path pattern that becomes its only condition.
    pub path: String,
}

/// `foreign-write`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ForeignWrite {
    /// The load balancer, by name; omitted: the plan's first.
    pub load_balancer: Option<String>,
    /// The listener's port; omitted: its first.
    pub listener: Option<u16>,
    /// The rule's priority; omitted: the default action.
    pub priority: Option<u32>,
    /// New weights, by cluster or by name of a group; other groups keep theirs.
    pub weights: BTreeMap<String, u16>,
}

/// `crash`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Crash {
    /// Time until the process restarts.
    pub down: Period,
}

/// `gate`: the result, in a rehearsal, of a metric gate that does not compare clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateFault {
    /// Its name in the plan.
    pub name: String,
    /// The result.
    pub says: GateResult,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `hook`: makes a command or hook of the plan fail in a rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookFault {
    /// Name in the plan: of the step or of the hook.
    pub name: String,
    /// `true`: the step's undo command fails, not its command.
    #[serde(default)]
    pub undo: bool,
    /// Duration; omitted: until `repair`, else to the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// Result of a metric gate that does not pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateResult {
    /// The value is out of bounds, or the alarm is in state ALARM.
    #[default]
    Fail,
    /// There is no data.
    NoData,
    /// The metric cannot be read.
    Unreadable,
}
