//! Lists changes of correct facts, each with the code that reports the change.

use serde_json::json;

use super::*;
use crate::domain::metric::gate::MeasuredValue;
use crate::domain::preflight::facts::{DryRunError, UnusableCommand};
use crate::plan::model::TargetType;

/// Replaces the pods as targets of both groups by nodes.
fn nodes_as_targets(plan: &mut Plan, facts: &mut Facts) {
    plan.workloads[0].binding.target_type = TargetType::Instance;
    for (cluster, name) in [("a", "webapp-a"), ("b", "webapp-b")] {
        group_of(facts, name).target_type = "instance".to_owned();
        binding_of(facts, cluster).target_type = Some(TargetType::Instance);
    }
}

/// Changes the plan or the facts, so that exactly one check fails.
pub type Change = fn(&mut Plan, &mut Facts);

pub const IDENTITY: &[(&str, Code, Change)] = &[
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
    ("no access to b", Code::CUT058, |p, f| {
        p.clusters[1].access = ClusterAccess::None;
        f.clusters.remove("b");
    }),
    ("marker", Code::CUT088, |p, _| p.marker = MarkerMode::None),
    ("accept nothing", Code::CUT090, |p, _| {
        p.accept = vec![Accept { code: "CUT042".to_owned(), object: None, reason: "fine".to_owned() }];
    }),
];

pub const BALANCER: &[(&str, Code, Change)] = &[
    ("network load balancer", Code::CUT059, |_, f| {
        f.selection.load_balancers.values_mut().for_each(|lb| lb.kind = "network".to_owned());
    }),
    ("break-glass script", Code::CUT309, |_, f| {
        f.selection.load_balancers.values_mut().for_each(|lb| {
            lb.tags.insert("cutover.dev/break-glass".to_owned(), "alpha-1 2026-03-01T14:02:09Z".to_owned());
        });
    }),
    ("controller", Code::CUT060, |_, f| tag(f, "elbv2.k8s.aws/cluster", "alpha-kr-a")),
    ("rule of a controller", Code::CUT060, |_, f| {
        f.selection.routes[1].route.tags.insert("ingress.k8s.aws/stack".to_owned(), "shop/web".to_owned());
    }),
    ("terraform", Code::CUT061, |_, f| tag(f, "ManagedBy", "Terraform")),
    ("cloudformation", Code::CUT062, |_, f| tag(f, "aws:cloudformation:stack-name", "edge")),
    ("six groups", Code::CUT063, |_, f| {
        let all = [("webapp-a", 1), ("g1", 0), ("g2", 0), ("g3", 0), ("g4", 0)];
        f.selection.routes[0].route.content = forward(&all);
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
    ("another load balancer", Code::CUT067, |_, f| {
        group_of(f, "webapp-b").load_balancers.push(LB.replace("/alpha/", "/beta/"));
    }),
    ("vpc", Code::CUT068, |_, f| {
        group_of(f, "webapp-b").vpc_id = "vpc-2".to_owned();
        binding_of(f, "b").extra.insert("vpcID".to_owned(), json!("vpc-2"));
    }),
    ("a group of a load balancer", Code::CUT068, |p, f| {
        without_services(p, f);
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).target_type = "alb".to_owned();
        }
    }),
    ("a function cannot be bound", Code::CUT068, |p, f| {
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).target_type = "lambda".to_owned();
        }
        p.workloads[0].binding.extra.clear();
    }),
    ("the new type is not that of the binding", Code::CUT068, |p, _| {
        p.workloads[0].binding.target_type = TargetType::Instance;
    }),
    ("from instances to pods", Code::CUT069, |_, f| {
        group_of(f, "webapp-a").target_type = "instance".to_owned();
        binding_of(f, "a").target_type = Some(TargetType::Instance);
    }),
    ("from a function to pods", Code::CUT069, |p, f| {
        p.workloads[0].services.remove("a");
        remove_binding(f, "a");
        cluster_of(f, "a").workloads.clear();
        group_of(f, "webapp-a").target_type = "lambda".to_owned();
    }),
    ("parity", Code::CUT069, |_, f| group_of(f, "webapp-b").health_check.path = "/".to_owned()),
    ("ip type", Code::CUT069, |p, f| {
        p.workloads[0].binding.extra.insert("ipAddressType".to_owned(), json!("ipv4"));
        f.selection.load_balancers.values_mut().for_each(|lb| lb.ip_address_type = "dualstack".to_owned());
        group_of(f, "webapp-b").ip_address_type = "ipv6".to_owned();
    }),
    ("address type of the balancer", Code::CUT068, |p, f| {
        p.workloads[0].binding.extra.insert("ipAddressType".to_owned(), json!("ipv4"));
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).ip_address_type = "ipv6".to_owned();
        }
    }),
    ("gRPC behind HTTP", Code::CUT068, |_, f| {
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).protocol_version = "GRPC".to_owned();
        }
    }),
    ("a TCP group", Code::CUT068, |_, f| {
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).protocol = "TCP".to_owned();
        }
    }),
    ("a zone that is not enabled", Code::CUT300, |_, f| {
        let mut all = targets(10, TargetState::Healthy);
        all.iter_mut().take(2).for_each(|t| t.zone = Some("ap-northeast-2d".to_owned()));
        set_health(f, "webapp-b", all);
    }),
    ("unused in an attached group", Code::CUT300, |_, f| {
        group_of(f, "webapp-b").load_balancers = vec![LB.to_owned()];
        let mut all = targets(10, TargetState::Healthy);
        all[0].state = TargetState::Unused;
        all[0].reason = Some("Target.NotInUse".to_owned());
        set_health(f, "webapp-b", all);
    }),
    ("target stickiness", Code::CUT070, |_, f| {
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).attributes.insert("stickiness.enabled".to_owned(), "true".to_owned());
        }
    }),
];

pub const KUBERNETES: &[(&str, Code, Change)] = &[
    ("two clusters", Code::CUT071, |p, f| {
        if let Ok(bindings) = &mut cluster_of(f, "a").bindings {
            bindings.push(bound(p, "b"));
        }
    }),
    ("unbound targets", Code::CUT072, |_, f| remove_binding(f, "b")),
    ("binding with another port", Code::CUT073, |_, f| binding_of(f, "b").port = PortRef::Number(8080)),
    ("name of the binding is in use", Code::CUT073, |_, f| {
        binding_of(f, "b").target_group_arn = group_arn("other");
        set_health(f, "webapp-b", Vec::new());
    }),
    ("argo", Code::CUT074, |_, f| {
        binding_of(f, "b").annotations.insert("argocd.argoproj.io/tracking-id".to_owned(), "shop:x".to_owned());
    }),
    ("binding created for an ingress", Code::CUT060, |_, f| {
        binding_of(f, "b").labels.insert("ingress.k8s.aws/stack-name".to_owned(), "web".to_owned());
    }),
    ("dry-run", Code::CUT075, |_, f| {
        remove_binding(f, "b");
        set_health(f, "webapp-b", Vec::new());
        let error = DryRunError::Refused("admission webhook denied".to_owned());
        cluster_of(f, "b").dry_runs.insert(group_arn("webapp-b"), Err(error));
    }),
    ("dry-run without an answer", Code::CUT058, |_, f| {
        remove_binding(f, "b");
        set_health(f, "webapp-b", Vec::new());
        let error = DryRunError::NoAnswer("no response: 504".to_owned());
        cluster_of(f, "b").dry_runs.insert(group_arn("webapp-b"), Err(error));
    }),
    ("no service", Code::CUT076, |_, f| view_of(f, "b").service = None),
    ("no port", Code::CUT077, |p, f| {
        p.workloads[0].services.values_mut().for_each(|service| service.port = PortRef::Number(8443));
        for cluster in ["a", "b"] {
            binding_of(f, cluster).port = PortRef::Number(8443);
        }
        if let Some(service) = &mut view_of(f, "a").service {
            service.ports.push((None, 8443));
        }
    }),
    ("an API without vpcID", Code::CUT301, |_, f| {
        remove_binding(f, "b");
        set_health(f, "webapp-b", Vec::new());
        cluster_of(f, "b").dry_runs.insert(group_arn("webapp-b"), Ok(vec!["vpcID".to_owned()]));
    }),
    ("a type that this build does not know", Code::CUT073, |_, f| binding_of(f, "b").unknown = vec!["targetType"]),
    ("another name in the other cluster", Code::CUT076, |p, f| {
        if let Some(service) = p.workloads[0].services.get_mut("b") {
            service.name = "storefront".to_owned();
        }
        binding_of(f, "b").service = "storefront".to_owned();
        view_of(f, "b").service = None;
    }),
    ("auto mode", Code::CUT078, |_, f| {
        view_of(f, "b").namespace_labels =
            [("eks.amazonaws.com/pod-readiness-gate-inject".to_owned(), "enabled".to_owned())].into();
        if let Ok(identity) = &mut cluster_of(f, "b").identity {
            identity.binding_api = Some("eks.amazonaws.com/v1".to_owned());
        }
    }),
    ("nodes behind a Service of type ClusterIP", Code::CUT307, |p, f| {
        nodes_as_targets(p, f);
        view_of(f, "b").service.iter_mut().for_each(|service| service.kind = Some("ClusterIP".to_owned()));
    }),
    ("no binding api", Code::CUT079, |_, f| {
        if let Ok(identity) = &mut cluster_of(f, "b").identity {
            identity.binding_api = None;
        }
    }),
    ("binding in mode verify is missing", Code::CUT091, |p, f| {
        p.workloads[0].binding.mode = BindingMode::Verify;
        remove_binding(f, "b");
    }),
    ("pods without gates", Code::CUT081, |_, f| {
        view_of(f, "b").pods.iter_mut().take(3).for_each(|p| p.readiness_gates.clear());
    }),
    ("no injection", Code::CUT081, |_, f| view_of(f, "b").namespace_labels.clear()),
    ("too few targets without a Service", Code::CUT082, |p, f| {
        without_services(p, f);
        set_health(f, "webapp-b", targets(4, TargetState::Healthy));
    }),
    ("too few nodes", Code::CUT082, |p, f| {
        nodes_as_targets(p, f);
        set_health(f, "webapp-b", targets(4, TargetState::Healthy));
    }),
    ("HPA of b", Code::CUT082, |_, f| view_of(f, "b").hpas[0].max = 4),
    ("no HPA in b", Code::CUT082, |_, f| {
        view_of(f, "b").hpas.clear();
        view_of(f, "b").owners[0].replicas = 6;
    }),
    ("HPA of a", Code::CUT083, |_, f| view_of(f, "a").hpas[0].min = 2),
];

pub const TRAFFIC: &[(&str, Code, Change)] = &[
    ("health unreadable", Code::CUT052, |_, f| {
        f.health.insert(group_arn("webapp-b"), Err(Unreadable::Throttled));
    }),
    ("security group", Code::CUT080, |_, f| {
        let mut all = targets(10, TargetState::Unhealthy);
        all[0].reason = Some("Target.Timeout".to_owned());
        set_health(f, "webapp-b", all);
    }),
    ("checks off", Code::CUT085, |_, f| group_of(f, "webapp-b").health_check.enabled = false),
    ("no targets and no Service", Code::CUT092, |p, f| {
        without_services(p, f);
        set_health(f, "webapp-b", Vec::new());
    }),
    ("a function has no count", Code::CUT304, |p, f| {
        without_services(p, f);
        let mut all = targets(1, TargetState::Unavailable);
        all[0].reason = Some("Target.HealthCheckDisabled".to_owned());
        set_health(f, "webapp-a", all);
    }),
    ("no window is as long as a step", Code::CUT306, |p, _| p.strategy.hours.windows = vec![window_until(1, 0)]),
    ("no wait after a write", Code::CUT303, |p, _| p.strategy.settle = Duration::ZERO),
    ("no wait for health", Code::CUT303, |p, _| {
        p.strategy.gates.raise.stable_for = Some(Duration::ZERO);
    }),
    ("old group without healthy targets", Code::CUT093, |_, f| {
        set_health(f, "webapp-a", targets(3, TargetState::Unhealthy));
    }),
    ("metric source is unreadable", Code::CUT094, |_, f| {
        let message = "no answer within 10 s".to_owned();
        f.gate_answers.insert("errors".to_owned(), MeasuredValue::Unreadable { message });
    }),
    ("command does not exist", Code::CUT305, |_, f| {
        let (place, problem) = ("hook before shift".to_owned(), "/plans/scale-up.sh does not exist".to_owned());
        f.machine.unusable_commands.push(UnusableCommand { place, program: String::new(), problem, required: true });
    }),
    ("stickiness", Code::CUT042, |_, f| set_stickiness(f, 600)),
    ("rule with another group of the old cluster", Code::CUT086, |_, f| {
        if let Some(Ok(all)) = f.attached.get_mut(LB) {
            for group in all.iter_mut().filter(|g| g.name == "third") {
                group.tags.insert("kubernetes.io/cluster/alpha-kr-a".to_owned(), "owned".to_owned());
            }
        }
    }),
    ("shares that weights cannot express", Code::CUT087, |_, f| {
        f.selection.routes[2].route.content = forward(&[("webapp-a", 1), ("third", 998)]);
    }),
];
