//! The lab as an endpoint: a world with the groups and listeners that `tests/support/elbv2.py furnish` expects.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::adapter::clock::Scaled;
use cutover::lab::live::Lab;
use cutover::lab::model::World;
use cutover::lab::scenario::model::{Listener, LoadBalancer, Rule, Scenario};
use cutover::plan::model::{
    BindingMode, BindingSpec, Cluster, ClusterAccess, GuardGate, Marker, OnFailure, Plan, RaiseGate, RollbackStickiness, RouteEntry,
    Selector, StatePlace, Step, StepKind, Strategy, TargetHealthGates, TargetType, Workload,
};

/// As fast as keeps the API's token buckets full.
const SPEED: f64 = 1000.0;

/// `PREFIX-web` with empty listeners on 443 and 80, the groups a and b of two clusters, and c of none.
pub async fn start(prefix: &str) -> Lab {
    let empty =
        |port| Listener { port, protocol: None, rules: vec![Rule { fixed_response: Some(404), ..Rule::default() }], tags: BTreeMap::new() };
    let mut scenario = Scenario::default();
    scenario.spec.load_balancers = vec![LoadBalancer {
        third_party: Some(BTreeMap::from([(format!("{prefix}-c"), 0)])),
        listeners: vec![empty(443), empty(80)],
        ..LoadBalancer::default()
    }];
    let begin = "2026-11-20T09:00:00Z".parse().expect("a time");
    let world = World::new(&plan(prefix), &scenario, 1, begin).expect("a world");
    Lab::start(world, Scaled::new(begin, SPEED)).await.expect("a lab")
}

fn plan(prefix: &str) -> Plan {
    let named = |name: &str| Selector::Name(format!("{prefix}-{name}"));
    let entry = RouteEntry {
        load_balancer: named("web"),
        listeners: Vec::new(),
        target_groups: vec![("a".into(), named("a")), ("b".into(), named("b"))],
        rules: None,
        expect: None,
    };
    let workload = Workload {
        name: "web".into(),
        service: None,
        binding: BindingSpec { mode: BindingMode::Create, target_type: TargetType::Ip, extra: serde_json::Map::new() },
        routes: vec![entry],
    };
    Plan {
        name: "contract".into(),
        source: "-".into(),
        text: String::new(),
        hash: String::new(),
        newer: Vec::new(),
        account_id: "123456789012".into(),
        api_budget: None,
        region: "us-east-1".into(),
        clusters: ["a", "b"].map(|name| Cluster { name: name.into(), access: ClusterAccess::None }).to_vec(),
        workloads: vec![workload],
        strategy: strategy(),
        accept: Vec::new(),
        marker: Marker::Tag,
        state: StatePlace::Local,
        notifications: Vec::new(),
    }
}

/// Nothing runs this plan; the world only wants to know who is `from` and who is `to`.
fn strategy() -> Strategy {
    let minute = Duration::from_mins(1);
    let raise = RaiseGate { min_healthy: 1, min_healthy_percent: 100.0, capacity: 1.0, stable_for: None };
    let guard = GuardGate { min_healthy_percent: 50.0, for_: minute };
    Strategy {
        metrics: Vec::new(),
        hooks: Vec::new(),
        from: "a".into(),
        to: "b".into(),
        settle: minute,
        on_failure: OnFailure::Rollback,
        rollback_stickiness: RollbackStickiness::Break,
        observe_every: None,
        hours: cutover::base::hours::Hours::default(),
        gates: TargetHealthGates { raise, guard, timeout: minute, on_timeout: OnFailure::Pause },
        start: None,
        steps: vec![Step { number: 1, name: None, kind: StepKind::Bake(minute), limit: None }],
    }
}
