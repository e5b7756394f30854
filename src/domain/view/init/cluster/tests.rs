use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::domain::compare::Object;
use crate::domain::compare::facts::{ClusterFacts, Kind};
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::fixture::{forward, group, listener, load_balancer, route};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::Unreadable;
use crate::domain::view::init::InitFacts;
use crate::plan::model::StepKind;
use crate::plan::model::{ClusterAccess, PortRef};

fn request() -> ClusterInitRequest {
    ClusterInitRequest {
        from_cluster: ClusterAccess::Eks("shop-blue".to_owned()),
        to_cluster: ClusterAccess::Eks("shop-green".to_owned()),
        from: Vec::new(),
        to: Vec::new(),
        name: None,
    }
}

/// Returns a binding of a Service with the binding's name.
fn binding(full_name: &str, group: &TargetGroup) -> Binding {
    let (namespace, name) = full_name.split_once('/').unwrap_or_else(|| panic!("{full_name} has no namespace"));
    let plan = crate::domain::fixture::plan();
    let made = Binding::for_group(&plan.workloads[0], "a", group).unwrap_or_else(|| panic!("no Service"));
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Binding { namespace, service: name.clone(), name, port: PortRef::Number(80), ..made }
}

fn object(kind: Kind, full_name: &str, spec: &serde_json::Value) -> (Kind, Object) {
    let (namespace, name) = full_name.split_once('/').unwrap_or_else(|| panic!("{full_name} has no namespace"));
    let body = json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec});
    (kind, Object::new(body).unwrap_or_else(|| panic!("the object must have a name")))
}

fn cluster_facts(objects: impl IntoIterator<Item = (Kind, Object)>) -> ClusterFacts {
    let why = || Unreadable::Setup("not read".to_owned());
    let mut all: BTreeMap<Kind, Result<Vec<Object>, Unreadable>> =
        KINDS.into_iter().map(|kind| (kind, Ok(Vec::new()))).collect();
    for (kind, object) in objects {
        if let Some(Ok(list)) = all.get_mut(&kind) {
            list.push(object);
        }
    }
    ClusterFacts {
        name: "test".to_owned(),
        version: Err(why()),
        served: Err(why()),
        secrets: BTreeMap::new(),
        objects: all,
        own_names: Vec::new(),
        platform: None,
        dry_runs: Vec::new(),
    }
}

/// Returns two clusters with the Services shop/web and shop/api behind one load balancer. The binding shop/web exists in
/// both clusters; the groups of shop/api pair by name.
fn facts() -> ClusterInitFacts {
    let groups: Vec<_> = ["web-1", "web-2", "api-blue", "api-green"].map(group).into();
    let routes = vec![route(443, None, forward(&[("web-1", 1)])), route(443, Some(10), forward(&[("api-blue", 1)]))];
    let services = || ["shop/web", "shop/api"].map(|name| object(Kind::Service, name, &json!({"selector": {}})));
    ClusterInitFacts {
        is_one_cluster: false,
        from_bindings: vec![binding("shop/web", &groups[0]), binding("shop/api", &groups[2])],
        to_bindings: vec![binding("shop/web", &groups[1])],
        groups,
        balancers: vec![InitFacts {
            load_balancer: load_balancer(),
            listeners: vec![(listener(443), routes)],
            groups: Vec::new(),
            from_bindings: Vec::new(),
            to_bindings: Vec::new(),
        }],
        unread: Vec::new(),
        from_objects: cluster_facts(services()),
        to_objects: cluster_facts(services()),
    }
}

fn text(facts: &ClusterInitFacts) -> String {
    write(&request(), facts).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn one_namespace_has_no_waves_and_pairs_say_their_rule() {
    let text = text(&facts());
    assert!(text.contains("# api: paired by name: api-blue and api-green.\n"), "{text}");
    assert!(!text.contains("# web: paired") && !text.contains("waves:") && !text.contains("Not in"), "{text}");
    assert!(text.contains("blue: web-1\n") && text.contains("green: web-2\n"), "{text}");
}

#[test]
fn groups_with_the_same_tags_pair_before_those_with_a_matching_name() {
    let mut facts = facts();
    facts.groups.push(group("other"));
    for (place, color) in [(2, "blue"), (4, "green")] {
        facts.groups[place].tags =
            [("cluster".to_owned(), format!("shop-{color}")), ("service".to_owned(), "api".to_owned())].into();
    }
    let text = text(&facts);
    assert!(text.contains("# api: paired by tags: api-blue and other have the same tags"), "{text}");
}

#[test]
fn globs_replace_the_names_of_the_clusters() {
    let facts = facts();
    let pair = |from: &str, to: &str| {
        write(&ClusterInitRequest { from: vec![from.to_owned()], to: vec![to.to_owned()], ..request() }, &facts)
            .unwrap_or_else(|e| panic!("{e}"))
    };
    assert!(pair("*-blue", "*-green").contains("# api: paired by name"));
    assert!(pair("*-old", "*-new").contains("# Not in this plan, not changed: shop/api: api-blue has no counterpart"));
}

#[test]
fn service_of_the_new_binding_may_have_another_name() {
    let mut facts = facts();
    facts.to_bindings.push(binding("shop/api-v2", &facts.groups[3]));
    facts.to_objects = cluster_facts([]);
    facts.to_objects.objects.clear();
    let text = text(&facts);
    assert!(text.contains("services:") && text.contains("name: api-v2"), "{text}");
}

/// A change of the facts.
type Change = fn(&mut ClusterInitFacts);

#[test]
fn every_doubtful_binding_is_left_out_with_its_reason() {
    let cases: [(&str, Change); 11] = [
        ("shop/api: the target group api-blue does not exist", |f| drop(f.groups.remove(2))),
        ("shop/api: the target group api-blue has no load balancer", |f| f.groups[2].load_balancers.clear()),
        ("shop/api: several bindings of blue use the target group api-blue: shop/api, shop/copy", |f| {
            f.from_bindings.push(binding("shop/copy", &f.groups[2]));
        }),
        ("shop/api: the Service shop/api does not exist in green", |f| {
            f.to_objects = cluster_facts([object(Kind::Service, "shop/web", &json!({}))]);
        }),
        ("shop/api: the Service shop/api does not exist in blue", |f| {
            f.from_objects = cluster_facts([object(Kind::Service, "shop/web", &json!({}))]);
        }),
        ("shop/api: api-blue has no counterpart: green has no binding shop/api", |f| drop(f.groups.remove(3))),
        ("shop/api: by its name, api-blue has several counterparts: api-green, api-green", |f| {
            let mut other = group("api-green");
            other.arn.push('2');
            f.groups.push(other);
        }),
        ("shop/web: its counterpart web-2 is attached to another load balancer", |f| {
            f.groups[1].load_balancers = vec!["arn:aws:other".to_owned()];
        }),
        ("shop/web: alpha 443 default already divides its traffic between web-1 and web-2", |f| {
            f.balancers[0].listeners[0].1[0].content = forward(&[("web-1", 9), ("web-2", 1)]);
        }),
        ("shop/web: no known route of alpha sends traffic to web-1", |f| drop(f.balancers[0].listeners[0].1.remove(0))),
        ("shop/web: the load balancer alpha cannot be read: ", |f| {
            let balancer = f.balancers.remove(0);
            f.unread.push((balancer.load_balancer.arn.clone(), Unreadable::Denied("no permission".to_owned())));
            let mut other = balancer;
            other.load_balancer.arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/other/1".to_owned();
            f.groups[2].load_balancers = vec![other.load_balancer.arn.clone()];
            f.groups[3].load_balancers.clear();
            f.balancers.push(other);
        }),
    ];
    for (expected, change) in cases {
        let mut facts = facts();
        change(&mut facts);
        let text = text(&facts);
        assert!(text.contains(&format!("# Not in this plan, not changed: {expected}")), "{expected}\n{text}");
    }
}

#[test]
fn route_of_two_pairs_and_counterpart_of_two_groups_are_left_out() {
    let mut shared = facts();
    shared.balancers[0].listeners[0].1[0].content = forward(&[("web-1", 1), ("api-blue", 1)]);
    let error = write(&request(), &shared).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("shop/web: alpha 443 default forwards to api-blue and web-1"), "{error}");
    let mut same = facts();
    same.to_bindings.push(binding("shop/api", &same.groups[1]));
    let error = write(&request(), &same).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("shop/api: several bindings of green use the target group web-2"), "{error}");
}

#[test]
fn objects_that_run_in_one_cluster_are_handed_over_and_others_are_named() {
    let mut facts = facts();
    let suspended = |suspend: bool| json!({"suspend": suspend});
    let worker = |replicas: u32| json!({"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}});
    facts.from_objects = cluster_facts([
        object(Kind::Service, "shop/web", &json!({})),
        object(Kind::Service, "shop/api", &json!({})),
        object(Kind::CronJob, "shop/nightly", &suspended(false)),
        object(Kind::CronJob, "shop/twice", &suspended(false)),
        object(Kind::CronJob, "shop/off", &suspended(true)),
        object(Kind::CronJob, "elsewhere/nightly", &suspended(false)),
        object(Kind::Deployment, "shop/consumer", &worker(2)),
        object(Kind::Deployment, "shop/scaled", &worker(2)),
        object(Kind::Deployment, "shop/absent", &worker(2)),
        object(Kind::StatefulSet, "shop/store", &worker(1)),
        object(Kind::ScaledObject, "shop/scaler", &json!({"scaleTargetRef": {"name": "scaled"}})),
    ]);
    facts.to_objects = cluster_facts([
        object(Kind::Service, "shop/web", &json!({})),
        object(Kind::Service, "shop/api", &json!({})),
        object(Kind::CronJob, "shop/nightly", &suspended(true)),
        object(Kind::CronJob, "shop/twice", &suspended(false)),
        object(Kind::Deployment, "shop/consumer", &worker(0)),
        object(Kind::ScaledObject, "shop/scaler", &json!({"scaleTargetRef": {"name": "scaled"}})),
    ]);
    let text = text(&facts);
    let plan = crate::plan::lint("plan.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let kinds: Vec<_> = plan.strategy.steps.iter().map(|step| &step.kind).collect();
    let first = kinds.iter().position(|kind| matches!(kind, StepKind::Shares(_))).unwrap_or_default();
    let StepKind::HandOver(hand_over) = kinds[first - 1] else { panic!("{text}") };
    assert!(matches!(kinds[1], StepKind::HeaderRoute(_)), "testers are first: {text}");
    assert_eq!(hand_over.items.len(), 2, "{text}");
    for line in [
        "CronJob shop/twice: it runs in both clusters",
        "Deployment shop/absent: it runs in blue and does not exist in green",
        "StatefulSet shop/store: its data does not move",
        "ScaledObject shop/scaler: it runs in both clusters",
    ] {
        assert!(text.contains(&format!("# Not in a `handOver` step: {line}")), "{line}\n{text}");
    }
    assert!(!text.contains("elsewhere"), "{text}");
}

#[test]
fn mistakes_of_the_command_line_are_named() {
    let message = |request: &ClusterInitRequest, facts: &ClusterInitFacts| {
        write(request, facts).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let same = ClusterInitRequest { to_cluster: request().from_cluster, ..request() };
    assert!(message(&same, &facts()).starts_with("--from-cluster shop-blue and --to-cluster shop-blue are the same"));
    let one = ClusterInitFacts { is_one_cluster: true, ..facts() };
    assert!(message(&request(), &one).contains("the same cluster, because the namespace `kube-system` has one UID:"));
    let none = ClusterInitFacts { from_bindings: Vec::new(), ..facts() };
    assert!(message(&request(), &none).starts_with("cluster shop-blue has no TargetGroupBinding"));
}

#[test]
fn names_in_the_plan_are_the_words_in_which_the_clusters_differ() {
    for (from, to, expected) in [
        ("shop-blue", "shop-green", ("blue", "green")),
        ("prod-1-33-eks", "prod-1-34-eks", ("33", "34")),
        ("a", "b", ("a", "b")),
        ("shop", "shop-2", ("shop", "shop-2")),
        ("arn:aws:eks:eu-west-1:1:cluster/east", "arn:aws:eks:eu-west-1:1:cluster/west", ("east", "west")),
    ] {
        let context = |name: &str| ClusterAccess::KubeContext(name.to_owned());
        let names = names::ClusterNames::new(&context(from), &context(to));
        assert_eq!((names.from.planned.as_str(), names.to.planned.as_str()), expected);
    }
}
