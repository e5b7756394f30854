//! Faults of a scenario. Each entry has one `at` (when the fault starts) and one verb (what happens).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::difference::Differ;
use super::period::Period;
pub use super::verb::{
    ChangeConditions, Crash, Deploy, Errors, ExpireCredentials, Flap, ForeignWrite, GateFault, GateResult,
    HaproxyFault, HookFault, InstanceFault, Kill, LateWrite, Partition, RemakeRule, Repair, RuleRef, Scale, Slow,
    Stale, Throttle,
};
use crate::lab::model::interface::OperatorRequest;

/// An entry of `faults[]`: when the fault starts, and exactly one verb.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// When the fault starts.
    pub at: Trigger,
    /// Pods refuse connections until `for` has passed or a `repair`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// Pods respond late, also to health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
    /// Pods respond with an error status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Errors>,
    /// Pods stop and restart repeatedly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Flap>,
    /// The replicas of a Deployment or the limits of its HPA change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// A new version of a Deployment is rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// An API is unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Objects of one cluster differ from the other cluster, as `cutover compare` reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differ: Option<Differ>,
    /// Ends earlier faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// AWS throttles calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// AWS reads return an earlier state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<Stale>,
    /// Writes get no response and take effect later, or never.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "late-write")]
    pub late_write: Option<LateWrite>,
    /// AWS rejects the credentials as expired.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "expire-credentials")]
    pub expire_credentials: Option<ExpireCredentials>,
    /// Another operator or tool changes the weights of an action.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "foreign-write")]
    pub foreign_write: Option<ForeignWrite>,
    /// Another operator or tool deletes a rule.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "delete-rule")]
    pub delete_rule: Option<RuleRef>,
    /// Another operator or tool deletes a rule and creates a new rule with another priority and the actions that the
    /// rule had at the start, as Terraform does.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "remake-rule")]
    pub remake_rule: Option<RemakeRule>,
    /// Another operator or tool changes the conditions of a rule.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "change-conditions")]
    pub change_conditions: Option<ChangeConditions>,
    /// An instance of HAProxy reloads, is down, or answers late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub haproxy: Option<HaproxyFault>,
    /// The process that drives the run crashes and restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// A metric gate of the plan does not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateFault>,
    /// A command or hook of the plan fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookFault>,
    /// The scenario sends an operator request to the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorRequest>,
}

/// The value of `at`: exactly one of `time`, `step` and `share`; and `after`, an additional delay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trigger {
    /// Start the fault this long after the start of the lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Period>,
    /// Start the fault when the run starts this step, given by its name, or by its number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Start the fault when a cluster has reached this share on every route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareReached>,
    /// Additional delay before the fault starts. The default is no delay.
    pub after: Period,
}

/// The value of `share`: the first time that a cluster has at least, or at most, this share on every route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareReached {
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Minimum share in percent, 0–100.
    pub at_least: Option<f64>,
    /// Maximum share in percent, 0–100.
    pub at_most: Option<f64>,
}

impl Fault {
    /// Returns all that is wrong with the fault: each the path below the fault, and a message.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let times = [self.at.time.is_some(), self.at.step.is_some(), self.at.share.is_some()];
        if times.iter().filter(|t| **t).count() != 1 {
            problems.push((".at", "exactly one of `time`, `step`, `share` is required".into()));
        }
        if let Some(share) = &self.at.share
            && share.at_least.is_some() == share.at_most.is_some()
        {
            problems.push((".at.share", "exactly one of `atLeast`, `atMost` is required".into()));
        }
        let verbs = self.count_verbs();
        if verbs != 1 {
            problems.push(("", format!("exactly one verb beside `at` is required; found {verbs}")));
        }
        let too_much = self.percentages().into_iter().filter_map(|(field, percent)| Some((field, percent?)));
        let too_much = too_much.filter(|(_, percent)| *percent > 100.0);
        problems.extend(
            too_much.map(|(field, percent)| (field, format!("{percent} is not a valid percentage: use 0 to 100"))),
        );
        problems
    }

    fn percentages(&self) -> [(&'static str, Option<f64>); 9] {
        let share = self.at.share.as_ref();
        let whole = |percent: Option<u32>| percent.map(f64::from);
        [
            (".at.share.atLeast", share.and_then(|s| s.at_least)),
            (".at.share.atMost", share.and_then(|s| s.at_most)),
            (".kill.percent", whole(self.kill.as_ref().and_then(|f| f.percent))),
            (".slow.percent", whole(self.slow.as_ref().and_then(|f| f.percent))),
            (".error.percent", whole(self.error.as_ref().and_then(|f| f.percent))),
            (".error.requests", whole(self.error.as_ref().and_then(|f| f.requests))),
            (".flap.percent", whole(self.flap.as_ref().and_then(|f| f.percent))),
            (".throttle.percent", whole(self.throttle.as_ref().map(|f| f.percent))),
            (".throttle.capacity", whole(self.throttle.as_ref().and_then(|f| f.capacity))),
        ]
    }

    fn count_verbs(&self) -> usize {
        let pods = [self.kill.is_some(), self.slow.is_some(), self.error.is_some(), self.flap.is_some()];
        let clusters = [self.scale.is_some(), self.deploy.is_some(), self.partition.is_some(), self.repair.is_some()];
        let aws = [
            self.throttle.is_some(),
            self.stale.is_some(),
            self.late_write.is_some(),
            self.expire_credentials.is_some(),
        ];
        let people =
            [self.foreign_write.is_some(), self.delete_rule.is_some(), self.crash.is_some(), self.operator.is_some()];
        let others =
            [self.gate.is_some(), self.hook.is_some(), self.remake_rule.is_some(), self.change_conditions.is_some()];
        let objects = [self.differ.is_some(), self.haproxy.is_some(), false, false];
        [pods, clusters, aws, people, others, objects].as_flattened().iter().filter(|v| **v).count()
    }

    /// Returns the clusters that the fault names, each with the path of the field.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("at.share.cluster", self.at.share.as_ref().map(|v| v.cluster.as_str())),
            ("kill.cluster", self.kill.as_ref().map(|v| v.cluster.as_str())),
            ("slow.cluster", self.slow.as_ref().map(|v| v.cluster.as_str())),
            ("error.cluster", self.error.as_ref().map(|v| v.cluster.as_str())),
            ("flap.cluster", self.flap.as_ref().map(|v| v.cluster.as_str())),
            ("scale.cluster", self.scale.as_ref().map(|v| v.cluster.as_str())),
            ("deploy.cluster", self.deploy.as_ref().map(|v| v.cluster.as_str())),
            ("differ.cluster", self.differ.as_ref().map(|v| v.cluster.as_str())),
            ("partition.cluster", self.partition.as_ref().and_then(|v| v.cluster.as_deref())),
            ("repair.cluster", self.repair.as_ref().and_then(|v| v.cluster.as_deref())),
        ];
        named.into_iter().filter_map(|(field, cluster)| Some((field, cluster?)))
    }

    /// Returns the workloads that the fault names, each with the path of the field.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("kill.workload", self.kill.as_ref().and_then(|v| v.workload.as_deref())),
            ("slow.workload", self.slow.as_ref().and_then(|v| v.workload.as_deref())),
            ("error.workload", self.error.as_ref().and_then(|v| v.workload.as_deref())),
            ("flap.workload", self.flap.as_ref().and_then(|v| v.workload.as_deref())),
            ("scale.workload", self.scale.as_ref().and_then(|v| v.workload.as_deref())),
            ("deploy.workload", self.deploy.as_ref().and_then(|v| v.workload.as_deref())),
            ("differ.workload", self.differ.as_ref().and_then(|v| v.workload.as_deref())),
        ];
        named.into_iter().filter_map(|(field, workload)| Some((field, workload?)))
    }
}
