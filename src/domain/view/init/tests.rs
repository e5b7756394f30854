use super::*;
use crate::domain::elb::action::{Action, Config};
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::elb::rule::{Condition, ConditionValue};
use crate::domain::fixture::{each_route, forward, group, group_arn, live_resources, load_balancer};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::{RouteId, UnreadRoute, Unreadable};
use crate::plan::model::ClusterAccess;
use crate::plan::model::PortRef;
use crate::plan::model::Selector;
use crate::plan::model::{ServiceRef, StepKind};

fn request(from: &str, to: &str) -> InitRequest {
    InitRequest {
        load_balancer: Selector::Name("alpha".to_owned()),
        from: vec![from.to_owned()],
        to: vec![to.to_owned()],
        from_cluster: ClusterAccess::None,
        to_cluster: ClusterAccess::None,
        service: None,
        name: None,
    }
}

fn seen() -> InitFacts {
    let listeners = live_resources().listeners.into_values().flatten().flatten().collect();
    let groups = ["webapp-a", "webapp-b", "webapp-default", "third"].map(group).into();
    InitFacts { load_balancer: load_balancer(), listeners, groups, from_bindings: Vec::new(), to_bindings: Vec::new() }
}

#[test]
fn one_workload_without_clusters() {
    insta::assert_snapshot!(write(&request("*-a", "*-b"), &seen()).unwrap_or_else(|e| panic!("{e}")));
}

#[test]
fn header_route_has_a_probe_that_is_valid_without_the_comment_signs() {
    let mut seen = seen();
    let host = Condition { values: vec![ConditionValue::Plain("shop.example".to_owned())], ..condition("host-header") };
    seen.listeners[1].1[1].rule.conditions = vec![host];
    let text = write(&request("*-a", "*-b"), &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains("# curl -i -H 'X-Canary: yes' http"), "{text}");
    assert!(text.contains("//shop.example"), "the host of a rule is more telling than that of AWS: {text}");
    let gates = text.find("# gates:").unwrap_or_else(|| panic!("{text}"));
    let (head, rest) = text.split_at(gates);
    let lines = rest.lines().map(|line| line.replacen("# ", "", 1) + "\n");
    let probed = head.to_owned() + &lines.collect::<String>();
    let plan = crate::plan::lint("plan.yaml", probed.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{probed}"));
    let at = plan.strategy.steps.iter().position(|step| matches!(step.kind, StepKind::HeaderRoute(_)));
    assert_eq!((at, plan.strategy.steps[2].name.as_deref()), (Some(1), Some("testers")), "{probed}");
    let probes = plan.strategy.metrics.iter().filter(|gate| gate.name == "probe").count();
    assert_eq!(probes, 1, "{probed}");
}

#[test]
fn header_route_is_only_proposed_where_every_route_fits() {
    let has = |seen: &InitFacts| {
        let text = write(&request("*-a", "*-b"), seen).unwrap_or_else(|e| panic!("{e}"));
        text.contains("setHeaderRoute")
    };
    assert!(has(&seen()));
    let mut first = seen();
    first.listeners[0].1[1].priority = Some(1);
    assert!(!has(&first), "no priority is free before the first rule");
    let mut login = seen();
    let oidc = Action::AuthenticateOidc { order: Some(1), authenticate_oidc_config: Config::new() };
    let mut actions = vec![oidc];
    actions.extend(crate::domain::elb::actions(&login.listeners[0].1[1].content).unwrap_or_default());
    login.listeners[0].1[1].content = crate::domain::elb::content(&actions);
    assert!(!has(&login), "the rule of a login with a secret cannot be copied");
    let mut many = seen();
    let other = |number: u32| LiveRoute { priority: Some(1000 + number), ..many.listeners[0].1[3].clone() };
    let others: Vec<_> = (0..89).map(other).collect();
    many.listeners[0].1.extend(others);
    assert!(!has(&many), "6 rules and 89 more leave no room for 6");
    let mut values = seen();
    let conditions = (0..5).map(|n| Condition {
        values: vec![ConditionValue::Plain(n.to_string())],
        header_name: Some(format!("X-{n}")),
        ..condition("http-header")
    });
    values.listeners[0].1[1].rule.conditions = conditions.collect();
    assert!(!has(&values), "a rule with five conditions has no room for a header");
    let mut network = seen();
    network.load_balancer.kind = "network".to_owned();
    assert!(!has(&network));
}

fn condition(field: &str) -> Condition {
    Condition { field: field.to_owned(), ..Condition::default() }
}

#[test]
fn service_comes_from_bindings_and_gitops_bindings_are_only_verified() {
    let plan = crate::domain::fixture::plan();
    let binding = |cluster: &str, name: &str| {
        Binding::for_group(&plan.workloads[0], cluster, &group(name))
            .unwrap_or_else(|| panic!("the fixture must have a Service"))
    };
    let mut seen = seen();
    seen.from_bindings = vec![binding("a", "webapp-a")];
    seen.to_bindings = vec![binding("b", "webapp-b")];
    seen.to_bindings[0].annotations.insert("argocd.argoproj.io/tracking-id".to_owned(), "x".to_owned());
    let mut request = request("webapp-a", "webapp-b");
    request.from_cluster = ClusterAccess::Eks("alpha-kr-a".to_owned());
    request.to_cluster = ClusterAccess::KubeContext("b".to_owned());
    let text = write(&request, &seen).unwrap_or_else(|e| panic!("{e}"));
    for line in [
        "eks: alpha-kr-a",
        "kubeContext: b",
        "namespace: webapp",
        "port: http",
        "mode: verify",
        "expect: 6",
        "a: webapp-a",
    ] {
        assert!(text.contains(line), "the plan has no line {line}:\n{text}");
    }
    request.service =
        Some(ServiceRef { namespace: "shop".to_owned(), name: "web".to_owned(), port: PortRef::Number(80) });
    assert!(write(&request, &seen).is_ok_and(|t| t.contains("namespace: shop")));
}

#[test]
fn globs_pair_several_workloads_and_inexpressible_shares_are_omitted() {
    let mut seen = seen();
    seen.groups.extend([group("api-a"), group("api-b")]);
    seen.groups[5].load_balancers.clear();
    if let Some((_, routes)) = seen.listeners.first_mut() {
        routes[3].content = forward(&[("api-a", 1), ("third", 99)]);
    }
    let text = write(&request("*-a", "*-b"), &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains("name: api\n") && text.contains("name: webapp\n") && text.contains("expect: 1\n"), "{text}");
    assert!(!text.contains("setWeight: 1\n") && text.contains("setWeight: 50\n"), "{text}");
}

#[test]
fn error_lists_the_target_groups_found() {
    let error =
        |from: &str, to: &str| write(&request(from, to), &seen()).err().map(|e| e.to_string()).unwrap_or_default();
    assert_eq!(
        error("*-a", "*-z"),
        "no target group matches '*-z'; target groups found: webapp-a, webapp-b, webapp-default, third"
    );
    assert_eq!(
        error("*-b", "*-a"),
        "on alpha, no traffic goes to webapp-b; traffic goes to the groups of --to: are --from and --to swapped?"
    );
    assert_eq!(
        error("*-a", "t*"),
        "no group of 't*' pairs with webapp-a: the part of the name that `*` stands for must be equal; target groups found: third"
    );
}

#[test]
fn route_that_already_splits_traffic_is_refused() {
    let mut live = live_resources();
    each_route(&mut live, |r| {
        if r.port == 443 && r.priority == Some(15) {
            r.content = forward(&[("webapp-a", 9), ("webapp-b", 1)]);
        }
    });
    let split = InitFacts { listeners: live.listeners.into_values().flatten().flatten().collect(), ..seen() };
    let error = write(&request("*-a", "*-b"), &split).err();
    assert_eq!(error, Some(InitError::Split { routes: vec!["443 rule 15".to_owned()] }));
}

#[test]
fn route_with_an_unknown_element_is_listed_but_not_selected() {
    let mut seen = seen();
    let unread = |groups: &[&str]| UnreadRoute {
        id: RouteId::rule("arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:listener-rule/app/alpha/1/2/3"),
        label: "443 rule 20".to_owned(),
        groups: groups.iter().map(|g| group_arn(g)).collect(),
        why: Unreadable::Unrepresentable("this build does not know Actions/member/QuantumConfig".to_owned()),
    };
    seen.listeners[1].0.unread.push(unread(&["third"]));
    let text = write(&request("*-a", "*-b"), &seen).unwrap_or_else(|e| panic!("{e}"));
    let line = "# Not in this plan, not changed: 443 rule 20: this build does not know Actions/member/QuantumConfig.";
    assert!(text.contains(line) && !text.contains("rules:"), "{text}");
    seen.listeners[1].0.unread[0] = unread(&["webapp-a"]);
    let text = write(&request("*-a", "*-b"), &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains(line) && text.contains("rules:"), "{text}");
    let plan = crate::plan::lint("plan.yaml", text.as_bytes())
        .unwrap_or_else(|e| panic!("{}", crate::plan::render(&e, false)));
    assert_eq!(plan.workloads[0].routes[0].rules.as_ref().map(Vec::len), plan.workloads[0].routes[0].expect);
}

#[test]
fn different_services_of_the_clusters_are_listed_by_cluster() {
    let mut seen = seen();
    let mut request = request("webapp-a", "webapp-b");
    request.to_cluster = ClusterAccess::Eks("alpha-kr-b".to_owned());
    request.service =
        Some(ServiceRef { namespace: "shop".to_owned(), name: "web".to_owned(), port: PortRef::Number(80) });
    let text = write(&request, &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains("services:\n      b:\n        namespace: shop\n"), "{text}");
    request.service = None;
    request.from_cluster = ClusterAccess::Eks("alpha-kr-a".to_owned());
    let plan = crate::domain::fixture::plan();
    let binding = |cluster: &str, name: &str| {
        Binding::for_group(&plan.workloads[0], cluster, &group(name))
            .unwrap_or_else(|| panic!("the fixture must have a Service"))
    };
    seen.from_bindings = vec![binding("a", "webapp-a")];
    seen.to_bindings = vec![Binding { service: "storefront".to_owned(), ..binding("b", "webapp-b") }];
    let text = write(&request, &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains("services:") && text.contains("name: storefront") && text.contains("name: webapp"), "{text}");
}

#[test]
fn key_of_the_entry_is_that_of_the_load_balancer() {
    let mut seen = seen();
    let (network, gateway) = ("network".to_owned(), "gateway".to_owned());
    seen.load_balancer.kind = network;
    let text = write(&request("webapp-a", "webapp-b"), &seen).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains("- nlb:") && !text.contains("- alb:"), "{text}");
    let plan = crate::plan::lint("plan.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.workloads[0].routes[0].kind, crate::plan::model::BalancerKind::Nlb);
    seen.load_balancer.kind = gateway;
    let error = write(&request("*-a", "*-b"), &seen).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.starts_with("alpha is a gateway load balancer; this version of cutover moves"), "{error}");
}
