//! Builds a plan without a text, for a rollback without a plan and for a run whose plan text cannot be read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    BindingMode, BindingSpec, Cluster, ClusterAccess, ClusterName, GuardGate, MarkerMode, OnFailure, Plan, RaiseGate,
    RollbackStickiness, RouteEntry, StateLocation, Step, Strategy, TargetHealthGates, TargetType, Workload,
};
use crate::base::hours::Hours;

/// The minimum content of a plan: enough to observe, guard and roll back the routes. All other fields get the defaults
/// of the plan file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Skeleton {
    /// The plan's name.
    pub name: String,
    /// The account of the load balancers; empty if unknown.
    pub account_id: String,
    /// The region of the load balancers; empty if unknown.
    pub region: String,
    /// The names of the clusters.
    pub clusters: Vec<ClusterName>,
    /// The cluster that has the traffic at the start.
    pub from: ClusterName,
    /// The cluster that has the traffic at the end.
    pub to: ClusterName,
    /// The workloads by name, with their routes.
    pub workloads: Vec<(String, Vec<RouteEntry>)>,
    /// The steps of the strategy.
    pub steps: Vec<Step>,
}

impl Skeleton {
    /// Builds the plan from this content and the defaults.
    pub fn plan(self) -> Plan {
        let Self { name, account_id, region, clusters, from, to, workloads, steps } = self;
        Plan {
            source: name.clone(),
            name,
            folder: None,
            text: String::new(),
            hash: crate::plan::hash(b""),
            newer: Vec::new(),
            account_id,
            region,
            api_budget: None,
            clusters: clusters.into_iter().map(|name| Cluster { name, access: ClusterAccess::None }).collect(),
            workloads: workloads
                .into_iter()
                .map(|(name, routes)| Workload {
                    name,
                    services: BTreeMap::new(),
                    binding: BindingSpec::default(),
                    routes,
                })
                .collect(),
            waves: Vec::new(),
            wave: None,
            strategy: Strategy { steps, ..Strategy::between(from, to) },
            accept: Vec::new(),
            marker: MarkerMode::Tag,
            state: StateLocation::Local,
            notifications: Vec::new(),
        }
    }
}

impl Strategy {
    /// Returns a strategy without steps, with the defaults of the plan file.
    pub fn between(from: ClusterName, to: ClusterName) -> Self {
        Self {
            from,
            to,
            settle: Duration::from_secs(15),
            longest_settle: Duration::from_secs(15),
            on_failure: OnFailure::Rollback,
            rollback_stickiness: RollbackStickiness::Break,
            observe_every: None,
            hours: Hours::default(),
            gates: TargetHealthGates::default(),
            compare: None,
            metrics: Vec::new(),
            hooks: Vec::new(),
            start: None,
            steps: Vec::new(),
        }
    }
}

impl Default for TargetHealthGates {
    fn default() -> Self {
        Self {
            raise: RaiseGate { min_healthy: 1, min_healthy_percent: 95.0, capacity: 1.0, stable_for: None },
            guard: GuardGate { min_healthy_percent: 70.0, for_: Duration::from_secs(90) },
            timeout: Duration::from_mins(20),
            on_timeout: OnFailure::Pause,
        }
    }
}

impl Default for BindingSpec {
    fn default() -> Self {
        Self { mode: BindingMode::Create, target_type: TargetType::Ip, extra: serde_json::Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skeleton_has_the_defaults_of_the_plan_file() {
        let text = "{apiVersion: cutover.dev/v1alpha1, kind: Cutover, metadata: {name: x}, spec: {aws: {accountId: \
            '123456789012', region: eu-west-1}, clusters: [{name: a}, {name: b}], strategy: {from: a, to: b, steps: \
            [setShares: {a: 0, b: 100}]}, workloads: [{name: w, routes: [{alb: {loadBalancer: lb, targetGroups: {a: \
            ga, b: gb}}}]}]}}";
        let plan = crate::plan::lint("x", text.as_bytes()).unwrap();
        let skeleton = Skeleton {
            name: plan.name.clone(),
            account_id: plan.account_id.clone(),
            region: plan.region.clone(),
            clusters: vec!["a".into(), "b".into()],
            from: "a".into(),
            to: "b".into(),
            workloads: vec![("w".into(), plan.workloads[0].routes.clone())],
            steps: plan.strategy.steps.clone(),
        };
        assert_eq!(Plan { text: plan.text.clone(), hash: plan.hash.clone(), ..skeleton.plan() }, plan);
    }
}
