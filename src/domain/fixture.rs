//! Provides a small valid plan and matching live resources, with two listeners and three groups per action, for the
//! unit tests of `domain`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::elb;
use crate::domain::elb::action::{Action, Config, Forward};
use crate::domain::elb::balancer::{HealthCheck, Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::rule::RuleConfig;
use crate::domain::elb::select::{ExistingNames, LiveResources};
use crate::domain::run::event::{Event, GroupStart, Record, RouteStart, Started};
use crate::domain::run::state::State;
use crate::domain::traffic::{RouteContent, RouteId, Split};
use crate::plan::model::{
    BalancerKind, BindingMode, BindingSpec, Cluster, ClusterAccess, GuardGate, MarkerMode, OnFailure, Plan, PortRef,
    RaiseGate, RollbackStickiness, RouteEntry, Selector, ServiceRef, Shares, StateLocation, Step, StepKind, Strategy,
    TargetHealthGates, TargetType, Workload,
};

/// The ARN of the fixture's load balancer.
pub const LB: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/alpha/50dc6c495c0c9188";

/// Returns the ARN of a target group.
pub fn group_arn(name: &str) -> String {
    format!("arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/{name}/73e2d6bc24d8a067")
}

/// Returns shares of the clusters a and b, in percent.
pub fn shares(a: u32, b: u32) -> Shares {
    [("a".to_owned(), a), ("b".to_owned(), b)].into()
}

/// Returns a plan with the steps: bind, 1 %, a bake of ten minutes, 50 %, an approval, 100 %, a bake of one hour.
pub fn plan() -> Plan {
    let kinds = [
        StepKind::Bind,
        StepKind::Shares(shares(99, 1)),
        StepKind::Bake(Duration::from_mins(10)),
        StepKind::Shares(shares(50, 50)),
        StepKind::Approval(None),
        StepKind::Shares(shares(0, 100)),
        StepKind::Bake(Duration::from_hours(1)),
    ];
    let steps = kinds
        .into_iter()
        .enumerate()
        .map(|(i, kind)| Step { number: i + 1, name: None, kind, approval_timeout: None })
        .collect();
    Plan {
        name: "alpha".to_owned(),
        source: "plans/alpha.yaml".to_owned(),
        folder: None,
        text: String::new(),
        hash: String::new(),
        newer: Vec::new(),
        account_id: "123456789012".to_owned(),
        region: "ap-northeast-2".to_owned(),
        api_budget: None,
        clusters: ["a", "b"]
            .map(|n| Cluster { name: n.to_owned(), access: ClusterAccess::Eks(format!("alpha-kr-{n}")) })
            .into(),
        workloads: vec![workload()],
        waves: Vec::new(),
        wave: None,
        strategy: Strategy {
            from: "a".to_owned(),
            to: "b".to_owned(),
            settle: Duration::from_secs(15),
            longest_settle: Duration::from_secs(15),
            on_failure: OnFailure::Rollback,
            rollback_stickiness: RollbackStickiness::Break,
            observe_every: None,
            hours: crate::base::hours::Hours::default(),
            gates: gates(),
            compare: None,
            metrics: Vec::new(),
            hooks: Vec::new(),
            start: Some(shares(100, 0)),
            steps,
        },
        accept: Vec::new(),
        marker: MarkerMode::Tag,
        state: StateLocation::Local,
        notifications: Vec::new(),
    }
}

fn gates() -> TargetHealthGates {
    TargetHealthGates {
        raise: RaiseGate { min_healthy: 1, min_healthy_percent: 95.0, capacity: 1.0, stable_for: None },
        guard: GuardGate { min_healthy_percent: 70.0, for_: Duration::from_secs(90) },
        timeout: Duration::from_mins(20),
        on_timeout: OnFailure::Pause,
    }
}

fn service() -> ServiceRef {
    ServiceRef { namespace: "webapp".to_owned(), name: "webapp".to_owned(), port: PortRef::Name("http".to_owned()) }
}

fn workload() -> Workload {
    let entry = RouteEntry {
        kind: BalancerKind::Alb,
        load_balancer: Selector::Name("alpha".to_owned()),
        listeners: Vec::new(),
        target_groups: ["a", "b"].map(|c| (c.to_owned(), Selector::Name(format!("webapp-{c}")))).into(),
        rules: None,
        expect: None,
        settle: None,
        reasserts: false,
    };
    Workload {
        name: "webapp".to_owned(),
        services: ["a", "b"].map(|c| (c.to_owned(), service())).into(),
        binding: BindingSpec { mode: BindingMode::Create, target_type: TargetType::Ip, extra: serde_json::Map::new() },
        routes: vec![entry],
    }
}

/// Returns the load balancer of the fixture's plan.
pub fn load_balancer() -> LoadBalancer {
    LoadBalancer {
        arn: LB.to_owned(),
        name: "alpha".to_owned(),
        dns_name: "alpha.example.com".to_owned(),
        kind: "application".to_owned(),
        scheme: "internet-facing".to_owned(),
        state: "active".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        ip_address_type: "ipv4".to_owned(),
        zones: vec!["ap-northeast-2a".to_owned(), "ap-northeast-2c".to_owned()],
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}

/// Returns a target group, attached to the load balancer.
pub fn group(name: &str) -> TargetGroup {
    TargetGroup {
        arn: group_arn(name),
        name: name.to_owned(),
        protocol: "HTTP".to_owned(),
        protocol_version: "HTTP1".to_owned(),
        port: 80,
        target_type: "ip".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        ip_address_type: "ipv4".to_owned(),
        health_check: HealthCheck {
            enabled: true,
            protocol: "HTTP".to_owned(),
            port: "traffic-port".to_owned(),
            path: "/health".to_owned(),
            matcher: "200".to_owned(),
            interval_seconds: 30,
            timeout_seconds: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
        },
        load_balancers: vec![LB.to_owned()],
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}

/// Returns the content of a route that forwards to these groups, by name and weight.
pub fn forward(weights: &[(&str, u16)]) -> RouteContent {
    let forward_config = Forward { target_groups: Vec::new(), target_group_stickiness_config: None };
    let split = Split::of(weights.iter().map(|(name, weight)| (group_arn(name), *weight)));
    elb::content(&[Action::Forward { order: None, forward_config }]).with_split(&split)
}

/// Returns the content of a route that redirects.
pub fn redirect() -> RouteContent {
    elb::content(&[Action::Redirect { order: None, redirect_config: Config::new() }])
}

/// Returns a route of the listener on `port`.
pub fn route(port: u16, priority: Option<u32>, content: RouteContent) -> LiveRoute {
    let listener = listener(port).arn;
    let rule = |p| RouteId::rule(format!("{}/{p:016x}", listener.replace(":listener/", ":listener-rule/")));
    let id = priority.map_or_else(|| RouteId::default_route(&listener), rule);
    let conditions = priority.map_or_else(String::new, |p| format!("path /{p}*"));
    LiveRoute {
        id,
        listener,
        port,
        priority,
        conditions,
        content,
        tags: BTreeMap::new(),
        rule: RuleConfig::default(),
        limits: elb::LIMITS,
        name: None,
    }
}

/// Returns a listener on `port` without routes.
pub fn listener(port: u16) -> Listener {
    Listener {
        arn: format!("{}/{port:016x}", LB.replace(":loadbalancer/", ":listener/")),
        load_balancer: LB.to_owned(),
        port,
        protocol: "HTTP".to_owned(),
        tags: BTreeMap::new(),
        unread: Vec::new(),
        tags_unread: None,
    }
}

/// Returns live resources with the listeners 80 and 443. On each listener, `webapp-a` has all traffic of the default
/// action and of two rules. A third rule does not belong to the plan: it redirects, or forwards to a third-party group.
pub fn live_resources() -> LiveResources {
    let plan_content = || forward(&[("webapp-a", 100), ("webapp-b", 0), ("webapp-default", 0)]);
    let routes = |port| {
        let other = if port == 80 { redirect() } else { forward(&[("third", 1)]) };
        (
            listener(port),
            vec![
                route(port, None, plan_content()),
                route(port, Some(15), plan_content()),
                route(port, Some(20), plan_content()),
                route(port, Some(30), other),
            ],
        )
    };
    LiveResources {
        load_balancers: [(Selector::Name("alpha".to_owned()), Ok(vec![load_balancer()]))].into(),
        listeners: [(LB.to_owned(), Ok(vec![routes(80), routes(443)]))].into(),
        groups: ["webapp-a", "webapp-b"].map(|n| (Selector::Name(n.to_owned()), Ok(vec![group(n)]))).into(),
        existing: ExistingNames::default(),
    }
}

/// Changes every route of the live resources.
pub fn each_route(world: &mut LiveResources, mut change: impl FnMut(&mut LiveRoute)) {
    for listeners in world.listeners.values_mut().flatten() {
        listeners.iter_mut().flat_map(|(_, routes)| routes).for_each(&mut change);
    }
}

/// Returns the start of a route whose managed groups are `webapp-a` and `webapp-b`.
pub fn route_start(live: LiveRoute) -> RouteStart {
    RouteStart {
        label: live.label(),
        id: live.id,
        load_balancer: LB.to_owned(),
        listener: live.listener,
        conditions: live.conditions,
        workload: "webapp".to_owned(),
        groups: ["a", "b"].map(|c| (c.to_owned(), group_arn(&format!("webapp-{c}")))).into(),
        content: live.content,
        content_at_start: None,
        settle: None,
        keeps_connections: false,
        reasserts: false,
        limits: elb::LIMITS,
        owners: Vec::new(),
    }
}

/// Returns the `Started` record of a run of [`plan`] over two rules, with this many healthy targets in `webapp-a`.
pub fn started(healthy: u32) -> Started {
    let content = forward(&[("webapp-a", 100), ("webapp-default", 0)]);
    let routes = [15, 20].map(|priority| route_start(route(80, Some(priority), content.clone())));
    let group = |cluster: &str, healthy| GroupStart {
        name: format!("webapp-{cluster}"),
        cluster: cluster.to_owned(),
        workload: "webapp".to_owned(),
        healthy,
        interval: 10,
        cross_zone: true,
        zones: Vec::new(),
        deregistration_delay: 300,
    };
    Started {
        plan: "alpha".to_owned(),
        text: String::new(),
        hash: String::new(),
        folder: None,
        owner: "alice@mac".to_owned(),
        from: "a".to_owned(),
        to: "b".to_owned(),
        from_step: 1,
        start: None,
        load_balancers: vec![LB.to_owned()],
        other_routes: None,
        not_moved: Vec::new(),
        wave: None,
        keeps_weights: false,
        header_rules: Vec::new(),
        routes: routes.into(),
        groups: [(group_arn("webapp-a"), group("a", healthy)), (group_arn("webapp-b"), group("b", 0))].into(),
        clusters: BTreeMap::new(),
        bindings: Vec::new(),
        items: Vec::new(),
    }
}

/// Returns the state of a run that has just started.
pub fn state(started: Started) -> State {
    let record = Record::new(1, Timestamp::UNIX_EPOCH, "alpha-1", Event::Started(Box::new(started)));
    State::fold(&[record]).expect("the event must be legal").expect("the journal must give a state")
}
