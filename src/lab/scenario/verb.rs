//! What goes wrong: one type for each verb of a fault.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::period::Period;

/// Which pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kill {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// How many percent of its pods; omitted: all.
    #[serde(default)]
    pub percent: Option<u32>,
    /// When it ends by itself; omitted: by `repair`, or never.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// `slow`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slow {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// How many percent of its pods; omitted: all.
    #[serde(default)]
    pub percent: Option<u32>,
    /// How late.
    pub by: Period,
    /// When it ends by itself.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// `error`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// How many percent of its pods; omitted: all.
    #[serde(default)]
    pub percent: Option<u32>,
    /// The status; omitted: 500.
    #[serde(default)]
    pub status: Option<u16>,
    /// How many percent of the requests; omitted: all.
    #[serde(default)]
    pub requests: Option<u32>,
    /// `true`: health checks go on passing.
    #[serde(default)]
    pub clients_only: bool,
    /// When it ends by itself.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// `flap`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flap {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// How many percent of its pods; omitted: all.
    #[serde(default)]
    pub percent: Option<u32>,
    /// How long they are down.
    pub down: Period,
    /// How long they are up in between.
    pub up: Period,
    /// How often; omitted: for ever.
    #[serde(default)]
    pub times: Option<u32>,
}

/// `scale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// The Deployment's `replicas`.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// The HPA's `minReplicas`.
    #[serde(default)]
    pub min: Option<u32>,
    /// The HPA's `maxReplicas`.
    #[serde(default)]
    pub max: Option<u32>,
}

/// `deploy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deploy {
    /// The cluster.
    pub cluster: String,
    /// The plan's workload; omitted: all.
    #[serde(default)]
    pub workload: Option<String>,
    /// The health checks of the new version answer with this status; omitted: 200.
    #[serde(default)]
    pub health_status: Option<u16>,
}

/// `partition`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Partition {
    /// The cluster whose API cannot be reached.
    pub cluster: Option<String>,
    /// Whether the AWS API cannot be reached.
    pub aws: bool,
    /// When it ends by itself.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `repair`: ends every fault that lasts, or those of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Repair {
    /// Only what afflicts this cluster.
    pub cluster: Option<String>,
}

/// `throttle`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// So many percent of all calls are refused, whatever the buckets say.
    pub percent: u32,
    /// The buckets hold only so many percent, and fill so much slower.
    pub capacity: Option<u32>,
    /// When it ends by itself.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// `stale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stale {
    /// How old answers are.
    pub by: Period,
    /// When it ends by itself.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// `late-write`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateWrite {
    /// How late they are carried out; `0s`: at once, only the answer is lost. Omitted: never.
    #[serde(default)]
    pub by: Option<Period>,
    /// How many writes; omitted: one.
    #[serde(default)]
    pub writes: Option<u32>,
}

/// A fault that only lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lasting {
    /// When it ends by itself.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// Which actions.
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
    /// New weights, by cluster or by the name of a group; groups that are not named keep theirs.
    pub weights: BTreeMap<String, u16>,
}

/// `crash`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Crash {
    /// How long until the run is started again.
    pub down: Period,
}

/// `gate`: what a metric gate that compares no sides is told in a rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Its name in the plan.
    pub name: String,
    /// What it says.
    pub says: Says,
    /// When it ends by itself.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// `hook`: a command or a hook of the plan fails in a rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailingHook {
    /// Its name in the plan: the step's, or the hook's.
    pub name: String,
    /// Not the step's command, but what takes it back.
    #[serde(default)]
    pub undo: bool,
    /// When it ends by itself.
    #[serde(default, rename = "for")]
    pub lasts: Option<Period>,
}

/// What a metric gate says where not all is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// It is bad: the value is out of bounds, the alarm rings.
    #[default]
    Fail,
    /// There is no data.
    NoData,
    /// It cannot be read.
    Unreadable,
}
