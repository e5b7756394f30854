//! A good world has no findings; one mutation each gives exactly its code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::action::{Action, Stickiness};
use crate::domain::alb::{Target, TargetGroup, TargetState};
use crate::domain::binding::Binding;
use crate::domain::facts::Caller;
use crate::domain::finding::Severity;
use crate::domain::fixture::{LB, each_route, forward, group, group_arn, plan, world};
use crate::domain::kube::{Hpa, Identity, Owner, Pod, Service};
use crate::domain::select::select;
use crate::plan::model::{Accept, BindingMode, Marker, PortRef};

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn targets(count: u8, state: TargetState) -> Vec<Target> {
    let target = |i| Target { id: format!("10.0.0.{i}"), port: 8080, zone: None, state, reason: None };
    (1..=count).map(target).collect()
}

fn view(plan: &Plan, cluster: &str) -> WorkloadView {
    let owner = Owner { kind: "Deployment".to_owned(), name: "webapp".to_owned(), replicas: 10, ready: 10, managed_by: None };
    let (min, current) = if cluster == "a" { (10, 10) } else { (2, 10) };
    let hpa = Hpa { name: "webapp".to_owned(), target: "Deployment/webapp".to_owned(), min, max: 40, current, desired: current };
    let pod = |i| Pod {
        name: format!("webapp-{i}"),
        ip: Some(format!("10.0.0.{i}")),
        ready: true,
        readiness_gates: vec![format!("target-health.elbv2.k8s.aws/webapp-{cluster}")],
        created: Some(now()),
    };
    WorkloadView {
        service: Some(Service {
            name: "webapp".to_owned(),
            ports: vec![(Some("http".to_owned()), 80)],
            selector: [("app".to_owned(), "webapp".to_owned())].into(),
        }),
        pods: (1..=10).map(pod).collect(),
        owners: vec![owner],
        hpas: vec![hpa],
        bindings: vec![bound(plan, cluster)],
        namespace_labels: [("elbv2.k8s.aws/pod-readiness-gate-inject".to_owned(), "enabled".to_owned())].into(),
    }
}

fn bound(plan: &Plan, cluster: &str) -> Binding {
    let wanted = Binding::wanted(&plan.workloads[0], &group(&format!("webapp-{cluster}")));
    let mut binding = wanted.unwrap_or_else(|| panic!("the fixture has a service"));
    binding.created = Some(now() - jiff::SignedDuration::from_hours(1));
    binding
}

fn facts(plan: &Plan) -> Facts {
    let live = world();
    let groups = vec![group("webapp-a"), group("webapp-b"), group("webapp-default"), group("third")];
    let cluster = |name: &str| ClusterFacts {
        identity: Ok(Identity {
            uid: format!("uid-{name}"),
            version: "v1.33".to_owned(),
            binding_api: Some("elbv2.k8s.aws/v1beta1".to_owned()),
        }),
        bindings: Ok(vec![bound(plan, name)]),
        workloads: [("webapp".to_owned(), Ok(view(plan, name)))].into(),
        dry_runs: BTreeMap::new(),
    };
    Facts {
        caller: Ok(Caller { account: "123456789012".to_owned(), arn: "arn:aws:iam::123456789012:role/ops".to_owned(), expires: None }),
        selection: select(plan, &live),
        live,
        attached: [(LB.to_owned(), Ok(groups))].into(),
        health: ["webapp-a", "webapp-b"].map(|g| (group_arn(g), Ok(targets(10, TargetState::Healthy)))).into(),
        clusters: ["a", "b"].map(|c| (c.to_owned(), cluster(c))).into(),
    }
}

fn group_of<'a>(facts: &'a mut Facts, name: &str) -> &'a mut TargetGroup {
    let arn = group_arn(name);
    &mut facts.selection.groups.get_mut(&arn).unwrap_or_else(|| panic!("no group {name}")).group
}

fn view_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut WorkloadView {
    let view = facts.clusters.get_mut(cluster).and_then(|c| c.workloads.get_mut("webapp")).and_then(|v| v.as_mut().ok());
    view.unwrap_or_else(|| panic!("no view of {cluster}"))
}

fn cluster_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut ClusterFacts {
    facts.clusters.get_mut(cluster).unwrap_or_else(|| panic!("no cluster {cluster}"))
}

/// Takes the binding of a cluster away.
fn unbound(facts: &mut Facts, cluster: &str) {
    cluster_of(facts, cluster).bindings = Ok(Vec::new());
}

fn binding_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut Binding {
    match &mut cluster_of(facts, cluster).bindings {
        Ok(bindings) => &mut bindings[0],
        Err(why) => panic!("{why}"),
    }
}

fn tag(facts: &mut Facts, key: &str, value: &str) {
    let load_balancer = facts.selection.load_balancers.get_mut(LB).unwrap_or_else(|| panic!("no load balancer"));
    load_balancer.tags.insert(key.to_owned(), value.to_owned());
}

fn stick(facts: &mut Facts, seconds: i32) {
    for selected in &mut facts.selection.routes {
        for action in &mut selected.route.actions {
            if let Action::Forward { forward_config, .. } = action {
                forward_config.target_group_stickiness_config = Some(Stickiness { enabled: true, duration_seconds: Some(seconds) });
            }
        }
    }
}

fn set_health(facts: &mut Facts, name: &str, health: Vec<Target>) {
    facts.health.insert(group_arn(name), Ok(health));
}

type Change = fn(&mut Plan, &mut Facts);

const IDENTITY: &[(&str, Code, Change)] = &[
    ("account", Code::CUT054, |p, _| {
        p.account_id = "210987654321".to_owned();
    }),
    ("caller", Code::CUT054, |_, f| {
        f.caller = Ok(Caller { account: "210987654321".to_owned(), arn: "arn:x".to_owned(), expires: None });
    }),
    ("region", Code::CUT055, |p, _| p.region = "eu-west-1".to_owned()),
    ("credentials", Code::CUT056, |_, f| {
        let expires = Some(now() + jiff::SignedDuration::from_mins(30));
        f.caller = Ok(Caller { account: "123456789012".to_owned(), arn: "arn:x".to_owned(), expires });
    }),
    ("same cluster", Code::CUT057, |_, f| {
        if let Ok(identity) = &mut cluster_of(f, "b").identity {
            identity.uid = "uid-a".to_owned();
        }
    }),
    ("unreachable", Code::CUT058, |_, f| {
        let b = cluster_of(f, "b");
        b.identity = Err(Unreadable::Unavailable("connection refused".to_owned()));
        b.bindings = Err(Unreadable::Unavailable("connection refused".to_owned()));
        b.workloads.clear();
    }),
    ("no way to b", Code::CUT058, |p, f| {
        p.clusters[1].access = ClusterAccess::None;
        f.clusters.remove("b");
    }),
    ("marker", Code::CUT088, |p, _| p.marker = Marker::None),
    ("accept nothing", Code::CUT090, |p, _| {
        p.accept = vec![Accept { code: "CUT042".to_owned(), reason: "fine".to_owned() }];
    }),
];

const BALANCER: &[(&str, Code, Change)] = &[
    ("network load balancer", Code::CUT059, |_, f| {
        f.selection.load_balancers.values_mut().for_each(|lb| lb.kind = "network".to_owned());
    }),
    ("controller", Code::CUT060, |_, f| tag(f, "elbv2.k8s.aws/cluster", "alpha-kr-a")),
    ("rule of a controller", Code::CUT060, |_, f| {
        f.selection.routes[1].route.tags.insert("ingress.k8s.aws/stack".to_owned(), "shop/web".to_owned());
    }),
    ("terraform", Code::CUT061, |_, f| tag(f, "ManagedBy", "Terraform")),
    ("cloudformation", Code::CUT062, |_, f| tag(f, "aws:cloudformation:stack-name", "edge")),
    ("six groups", Code::CUT063, |_, f| {
        let all = [("webapp-a", 1), ("g1", 0), ("g2", 0), ("g3", 0), ("g4", 0)];
        f.selection.routes[0].route.actions = forward(&all);
    }),
    ("101 groups", Code::CUT064, |_, f| {
        f.attached.insert(LB.to_owned(), Ok((0..99).map(|i| group(&format!("g{i}"))).collect()));
    }),
    ("dns failover", Code::CUT065, |_, f| {
        let key = "target_group_health.dns_failover.minimum_healthy_targets.count".to_owned();
        group_of(f, "webapp-b").attributes.insert(key, "8".to_owned());
    }),
    ("target quota", Code::CUT066, |_, f| {
        for name in ["webapp-default", "third", "webapp-a", "webapp-b"] {
            let count = if name.starts_with("webapp-") && name.len() == 8 { 10 } else { 250 };
            f.health.insert(group_arn(name), Ok(targets(count, TargetState::Healthy)));
        }
        let more: Vec<_> = (0..3).map(|i| group(&format!("g{i}"))).collect();
        for g in &more {
            f.health.insert(g.arn.clone(), Ok(targets(250, TargetState::Healthy)));
        }
        if let Some(Ok(all)) = f.attached.get_mut(LB) {
            all.extend(more);
        }
    }),
    ("another load balancer", Code::CUT067, |_, f| group_of(f, "webapp-b").load_balancers.push(LB.replace("/alpha/", "/beta/"))),
    ("vpc", Code::CUT068, |_, f| {
        group_of(f, "webapp-b").vpc_id = "vpc-2".to_owned();
        binding_of(f, "b").extra.insert("vpcID".to_owned(), json!("vpc-2"));
    }),
    ("lambda", Code::CUT068, |p, f| {
        group_of(f, "webapp-b").target_type = "lambda".to_owned();
        group_of(f, "webapp-a").target_type = "lambda".to_owned();
        p.workloads[0].binding.extra.clear();
    }),
    ("parity", Code::CUT069, |_, f| group_of(f, "webapp-b").health_check.path = "/".to_owned()),
    ("ip type", Code::CUT069, |p, f| {
        p.workloads[0].binding.extra.insert("ipAddressType".to_owned(), json!("ipv4"));
        group_of(f, "webapp-b").ip_address_type = "ipv6".to_owned();
    }),
    ("target stickiness", Code::CUT070, |_, f| {
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).attributes.insert("stickiness.enabled".to_owned(), "true".to_owned());
        }
    }),
];

const KUBERNETES: &[(&str, Code, Change)] = &[
    ("two clusters", Code::CUT071, |p, f| {
        if let Ok(bindings) = &mut cluster_of(f, "a").bindings {
            bindings.push(bound(p, "b"));
        }
    }),
    ("unbound targets", Code::CUT072, |_, f| unbound(f, "b")),
    ("says otherwise", Code::CUT073, |_, f| binding_of(f, "b").port = PortRef::Number(8080)),
    ("name is taken", Code::CUT073, |_, f| {
        binding_of(f, "b").target_group_arn = group_arn("other");
        set_health(f, "webapp-b", Vec::new());
    }),
    ("argo", Code::CUT074, |_, f| {
        binding_of(f, "b").annotations.insert("argocd.argoproj.io/tracking-id".to_owned(), "shop:x".to_owned());
    }),
    ("made for an ingress", Code::CUT060, |_, f| {
        binding_of(f, "b").labels.insert("ingress.k8s.aws/stack-name".to_owned(), "web".to_owned());
    }),
    ("dry-run", Code::CUT075, |_, f| {
        unbound(f, "b");
        set_health(f, "webapp-b", Vec::new());
        cluster_of(f, "b").dry_runs.insert(group_arn("webapp-b"), Err("admission webhook denied".to_owned()));
    }),
    ("no service", Code::CUT076, |_, f| view_of(f, "b").service = None),
    ("no port", Code::CUT077, |p, f| {
        p.workloads[0].service.as_mut().unwrap_or_else(|| panic!("no service")).port = PortRef::Number(8443);
        for cluster in ["a", "b"] {
            binding_of(f, cluster).port = PortRef::Number(8443);
        }
        if let Some(service) = &mut view_of(f, "a").service {
            service.ports.push((None, 8443));
        }
    }),
    ("auto mode", Code::CUT078, |_, f| {
        if let Ok(identity) = &mut cluster_of(f, "b").identity {
            identity.binding_api = Some("eks.amazonaws.com/v1".to_owned());
        }
    }),
    ("no binding api", Code::CUT079, |_, f| {
        if let Ok(identity) = &mut cluster_of(f, "b").identity {
            identity.binding_api = None;
        }
    }),
    ("nobody made it", Code::CUT091, |p, f| {
        p.workloads[0].binding.mode = BindingMode::Verify;
        unbound(f, "b");
    }),
    ("pods without gates", Code::CUT081, |_, f| view_of(f, "b").pods.iter_mut().take(3).for_each(|p| p.readiness_gates.clear())),
    ("no injection", Code::CUT081, |_, f| view_of(f, "b").namespace_labels.clear()),
    ("HPA of b", Code::CUT082, |_, f| view_of(f, "b").hpas[0].max = 4),
    ("no HPA in b", Code::CUT082, |_, f| {
        view_of(f, "b").hpas.clear();
        view_of(f, "b").owners[0].replicas = 6;
    }),
    ("HPA of a", Code::CUT083, |_, f| view_of(f, "a").hpas[0].min = 2),
];

const TRAFFIC: &[(&str, Code, Change)] = &[
    ("health unreadable", Code::CUT052, |_, f| {
        f.health.insert(group_arn("webapp-b"), Err(Unreadable::Throttled));
    }),
    ("security group", Code::CUT080, |_, f| {
        let mut all = targets(10, TargetState::Unhealthy);
        all[0].reason = Some("Target.Timeout".to_owned());
        set_health(f, "webapp-b", all);
    }),
    ("checks off", Code::CUT085, |_, f| group_of(f, "webapp-b").health_check.enabled = false),
    ("nothing fills it", Code::CUT092, |p, f| {
        p.workloads[0].service = None;
        f.clusters.clear();
        set_health(f, "webapp-b", Vec::new());
    }),
    ("no way back", Code::CUT093, |_, f| set_health(f, "webapp-a", targets(3, TargetState::Unhealthy))),
    ("stickiness", Code::CUT042, |_, f| stick(f, 600)),
    ("left behind", Code::CUT086, |_, f| {
        if let Some(Ok(all)) = f.attached.get_mut(LB) {
            for group in all.iter_mut().filter(|g| g.name == "third") {
                group.tags.insert("kubernetes.io/cluster/alpha-kr-a".to_owned(), "owned".to_owned());
            }
        }
    }),
    ("unspellable", Code::CUT087, |_, f| f.selection.routes[2].route.actions = forward(&[("webapp-a", 1), ("third", 998)])),
];

#[test]
fn a_good_world_has_no_findings() {
    let plan = plan();
    assert_eq!(check(&plan, &facts(&plan), now()), []);
}

#[test]
fn one_mutation_gives_exactly_its_code() {
    for (name, code, change) in [IDENTITY, BALANCER, KUBERNETES, TRAFFIC].concat() {
        let mut plan = plan();
        let mut facts = facts(&plan);
        change(&mut plan, &mut facts);
        let findings = check(&plan, &facts, now());
        let mut codes: Vec<Code> = findings.iter().map(|f| f.code).collect();
        codes.dedup();
        assert_eq!(codes, [code], "{name}: {findings:#?}");
        assert!(findings.iter().all(|f| f.help.as_ref().is_some_and(|h| !h.is_empty())), "{name} says what to do");
    }
}

#[test]
fn a_last_pause_shorter_than_stickiness_is_said_beside_it() {
    let plan = plan();
    let mut facts = facts(&plan);
    stick(&mut facts, 7200);
    let codes: Vec<Code> = check(&plan, &facts, now()).iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::CUT042, Code::CUT084]);
}

#[test]
fn accepted_warnings_keep_the_reason_and_safety_is_never_accepted() {
    let mut plan = plan();
    let reason = "ten minutes are fine here";
    plan.accept = ["CUT042", "CUT057"].map(|c| Accept { code: c.to_owned(), reason: reason.to_owned() }).into();
    let mut facts = facts(&plan);
    stick(&mut facts, 600);
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.uid = "uid-a".to_owned();
    }
    let findings = check(&plan, &facts, now());
    let by = |code: Code| findings.iter().find(|f| f.code == code).unwrap_or_else(|| panic!("no {code:?}"));
    assert_eq!(by(Code::CUT042).accepted.as_deref(), Some(reason));
    assert!(by(Code::CUT057).refuses() && by(Code::CUT089).refuses());
    assert_eq!(findings[0].severity, Severity::Error, "gravest first");
}

#[test]
fn the_hpa_findings_name_the_step_the_numbers_and_the_patch() {
    let plan = plan();
    let mut facts = facts(&plan);
    view_of(&mut facts, "b").hpas[0].max = 8;
    view_of(&mut facts, "a").hpas[0].min = 2;
    let findings = check(&plan, &facts, now());
    // Today's healthy total is 20, so 50 % needs 10.
    assert!(
        findings[0].message.starts_with("step 4 (50 % to b) needs 10 healthy targets of webapp, and HPA webapp stops at 8"),
        "{findings:#?}"
    );
    let context = "kubectl --context arn:aws:eks:ap-northeast-2:123456789012:cluster/alpha-kr-";
    assert!(findings[0].help.as_ref().is_some_and(|h| {
        h.contains(&format!("{context}b -n webapp patch hpa webapp --type merge -p '{{\"spec\":{{\"maxReplicas\":20}}}}'"))
    }));
    assert!(findings[1].help.as_ref().is_some_and(|h| {
        h.contains(&format!("{context}a -n webapp patch hpa webapp --type merge -p '{{\"spec\":{{\"minReplicas\":10}}}}'"))
    }));
}

#[test]
fn a_plan_takes_its_bakes_and_settles() {
    assert_eq!(estimate(&plan()), Duration::from_mins(1 + 10 + 60));
}

#[test]
fn terraform_is_recognised_by_what_teams_write() {
    let tags = |k: &str, v: &str| [(k.to_owned(), v.to_owned())].into();
    for (key, value) in [("terraform", "true"), ("managed-by", "OpenTofu"), ("iac", "terraform/edge"), ("TerraformWorkspace", "prod")] {
        assert!(owners::terraform(&tags(key, value)).is_some(), "{key}={value}");
    }
    for (key, value) in [("Terraform", "false"), ("Name", "terraform-demo"), ("team", "edge")] {
        assert_eq!(owners::terraform(&tags(key, value)), None, "{key}={value}");
    }
}

#[test]
fn routes_that_are_not_moved_do_not_count_for_stickiness() {
    let plan = plan();
    let mut facts = facts(&plan);
    each_route(&mut facts.live, |r| {
        if r.priority == Some(30) {
            let mut actions = forward(&[("third", 1)]);
            if let Some(Action::Forward { forward_config, .. }) = actions.first_mut() {
                forward_config.target_group_stickiness_config = Some(Stickiness { enabled: true, duration_seconds: Some(9) });
            }
            r.actions = actions;
        }
    });
    assert_eq!(check(&plan, &facts, now()), []);
}
