//! Renders the text of the plan.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::header_route;
use super::model::{GroupPair, InitError, InitFacts, InitRequest, plan_name, routes, routes_by_group};
use crate::base::arn;
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::other_type::kind_of;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::shares;
use crate::plan::model::{BalancerKind, ClusterAccess, PortRef, ServiceRef};

/// The default steps: the share of the new cluster in percent, and the duration of the following bake.
const DEFAULT_STEPS: [(u32, &str); 5] = [(1, "10m"), (5, "10m"), (20, "20m"), (50, "30m"), (100, "1h")];

pub(super) fn write(request: &InitRequest, seen: &InitFacts, pairs: &[GroupPair]) -> Result<String, InitError> {
    let (from, to) = cluster_names(&request.from, &request.to);
    let name = plan_name(request.name.as_deref().unwrap_or(&seen.load_balancer.name), "cutover");
    let lb = &seen.load_balancer.arn;
    let balancers = [(seen, pairs)];
    let plan = json!({
        "apiVersion": "cutover.dev/v1alpha1",
        "kind": "Cutover",
        "metadata": {"name": name},
        "spec": {
            "aws": {"accountId": arn::account(lb), "region": arn::region(lb)},
            "clusters": [cluster(&from, &request.from_cluster), cluster(&to, &request.to_cluster)],
            "workloads": pairs.iter().map(|p| workload(request, seen, pairs, p, (&from, &to))).collect::<Vec<_>>(),
            "strategy": {"from": from, "to": to, "steps": steps(&balancers, (&from, &to), header_route::fits(&balancers))},
        },
    });
    let yaml = serde_yaml::to_string(&plan).map_err(|e| InitError::Yaml(e.to_string()))?;
    Ok(comments(request, seen, pairs) + &header_route::with_probe(&yaml, &balancers))
}

fn comments(request: &InitRequest, seen: &InitFacts, pairs: &[GroupPair]) -> String {
    let mut out = String::new();
    let mut say = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# {line}");
    };
    say(&format!("Written by `cutover init` for the load balancer {}.", seen.load_balancer.name));
    say(
        "Review this plan. Next: `cutover check` (shows what would happen, and problems), `cutover rehearse`, `cutover run`.",
    );
    let pair_arns: BTreeSet<&str> = pairs.iter().flat_map(|p| [p.from.arn.as_str(), p.to.arn.as_str()]).collect();
    let others: Vec<&str> = routes_by_group(seen)
        .into_keys()
        .filter(|a| !pair_arns.contains(a))
        .map(crate::domain::elb::select::short_name)
        .collect();
    if !others.is_empty() {
        say(&format!("Not in this plan, not changed: {}.", others.join(", ")));
    }
    for route in seen.unread() {
        say(&format!("Not in this plan, not changed: {}: {}.", route.label, route.why));
    }
    if request.to_cluster == ClusterAccess::None {
        say("No new cluster is given, so no bindings are created: the new target groups must already have targets.");
        say("With `eks: NAME` or `kubeContext: NAME` in both clusters and a `service` in each workload, \
             `bind` creates them.");
        say(
            "If one cluster is not Kubernetes: `services: {CLUSTER: {…}}` names the Service in the other cluster only.",
        );
    } else if request.from_cluster == ClusterAccess::None {
        say(
            "The plan gives no access to the old cluster: its targets are registered by other means, which does not change.",
        );
    }
    say("`expect` is the number of routes that the workload has now; with any other number, the run does not start.");
    out
}

/// Returns the parts in which the globs differ, such as `a` and `b` for `*-a` and `*-b`.
fn cluster_names(from: &[String], to: &[String]) -> (String, String) {
    let bare = |globs: &[String]| globs.first().map(|g| g.replace(['*', '?'], "")).unwrap_or_default();
    let (left, right): (Vec<char>, Vec<char>) = (bare(from).chars().collect(), bare(to).chars().collect());
    let prefix = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let suffix = left[prefix..].iter().rev().zip(right[prefix..].iter().rev()).take_while(|(a, b)| a == b).count();
    let cut = |text: &[char]| text[prefix..text.len() - suffix].iter().collect::<String>();
    let (left, right) = (plan_name(&cut(&left), "old"), plan_name(&cut(&right), "new"));
    if left == right { ("old".to_owned(), "new".to_owned()) } else { (left, right) }
}

pub(super) fn cluster(name: &str, access: &ClusterAccess) -> Value {
    match access {
        ClusterAccess::Eks(eks) => json!({"name": name, "eks": eks}),
        ClusterAccess::KubeContext(context) => json!({"name": name, "kubeContext": context}),
        ClusterAccess::None => json!({"name": name}),
    }
}

fn workload(
    request: &InitRequest,
    seen: &InitFacts,
    pairs: &[GroupPair],
    pair: &GroupPair,
    (from, to): (&str, &str),
) -> Value {
    let mut all = Map::new();
    all.insert("name".to_owned(), json!(pair.workload));
    if let Some((field, value)) = services(request, seen, pairs, pair, (from, to)) {
        all.insert(field.to_owned(), value);
        let owned = seen.to_bindings.iter().find(|b| b.binds(&pair.to)).is_some_and(|b| b.gitops_owner().is_some());
        let mode = if owned { "verify" } else { "create" };
        all.insert("binding".to_owned(), json!({"mode": mode, "targetType": pair.to.target_type}));
    }
    all.insert("routes".to_owned(), json!([route(seen, pair, (from, to))]));
    Value::Object(all)
}

/// Returns an entry of `routes`: the load balancer and the groups of a pair.
pub(super) fn route(seen: &InitFacts, pair: &GroupPair, (from, to): (&str, &str)) -> Value {
    let groups = Map::from_iter([(from.to_owned(), json!(pair.from.name)), (to.to_owned(), json!(pair.to.name))]);
    let mut entry = json!({"loadBalancer": seen.load_balancer.name, "targetGroups": groups, "expect": pair.actions});
    if seen.unread().any(|u| u.may_concern([&pair.from.arn, &pair.to.arn])) {
        // Without the list `rules`, the plan would select the route that this build cannot write.
        let known = routes(seen).filter(|r| r.content.split.carries(&pair.from.arn));
        entry["rules"] = known.map(|r| json!({"arn": r.id.id()})).collect();
    }
    json!({kind_of(&seen.load_balancer).unwrap_or(BalancerKind::Alb).key(): entry})
}

/// Returns the field `service`, or `services` if the Services differ or the plan has access to only one cluster.
fn services(
    request: &InitRequest,
    seen: &InitFacts,
    pairs: &[GroupPair],
    pair: &GroupPair,
    (from, to): (&str, &str),
) -> Option<(&'static str, Value)> {
    let requested = request.service.as_ref().filter(|_| pairs.len() == 1);
    let service = |access: &ClusterAccess, bindings: &[Binding], group: &TargetGroup| {
        if *access == ClusterAccess::None {
            return None;
        }
        let bound = || {
            let binding = bindings.iter().find(|b| b.binds(group))?.clone();
            Some(ServiceRef { namespace: binding.namespace, name: binding.service, port: binding.port })
        };
        requested.cloned().or_else(bound)
    };
    let old = service(&request.from_cluster, &seen.from_bindings, &pair.from);
    let new = service(&request.to_cluster, &seen.to_bindings, &pair.to);
    let both = ![&request.from_cluster, &request.to_cluster].contains(&&ClusterAccess::None);
    match (old, new) {
        (Some(old), Some(new)) if old != new => Some(service_of_both((from, &old), (to, &new))),
        (Some(one), Some(_) | None) | (None, Some(one)) if both => Some(("service", service_value(&one))),
        (Some(old), _) => Some(("services", json!({from: service_value(&old)}))),
        (None, Some(new)) => Some(("services", json!({to: service_value(&new)}))),
        (None, None) => None,
    }
}

/// Returns the field `service`, or `services` if the Services of the clusters differ.
pub(super) fn service_of_both(old: (&str, &ServiceRef), new: (&str, &ServiceRef)) -> (&'static str, Value) {
    if old.1 == new.1 {
        return ("service", service_value(old.1));
    }
    let all = [old, new].map(|(cluster, service)| (cluster.to_owned(), service_value(service)));
    ("services", Value::Object(all.into_iter().collect()))
}

fn service_value(service: &ServiceRef) -> Value {
    let port = match &service.port {
        PortRef::Number(number) => json!(number),
        PortRef::Name(name) => json!(name),
    };
    json!({"namespace": service.namespace, "name": service.name, "port": port})
}

/// Returns the steps: `bind`, a header route if every route fits, then every default share that the weights of all
/// routes can express, each followed by a bake. `all` has each load balancer with its pairs.
pub(super) fn steps(all: &[(&InitFacts, &[GroupPair])], names: (&str, &str), has_header_route: bool) -> Vec<Value> {
    let mut steps = vec![json!({"bind": {}})];
    if has_header_route {
        steps.extend(header_route::steps());
    }
    let first = steps.len();
    let sticky = all.iter().map(|(seen, pairs)| longest_stickiness(seen, pairs)).max().unwrap_or(0);
    let can_have = |share| all.iter().all(|(seen, pairs)| is_expressible(seen, pairs, names, share));
    for (share, bake) in DEFAULT_STEPS.into_iter().filter(|(share, _)| can_have(*share)) {
        let named = steps.len() == first;
        steps.push(if named {
            json!({"setWeight": share, "name": "first-traffic"})
        } else {
            json!({"setWeight": share})
        });
        let bake = if share == 100 && sticky > 3600 { format!("{sticky}s") } else { bake.to_owned() };
        steps.push(json!({"pause": {"duration": bake}}));
    }
    steps
}

fn is_expressible(seen: &InitFacts, pairs: &[GroupPair], (from, to): (&str, &str), share: u32) -> bool {
    let wanted = [(from.to_owned(), 100 - share), (to.to_owned(), share)].into();
    pairs.iter().all(|pair| {
        let managed = [(from.to_owned(), pair.from.arn.clone()), (to.to_owned(), pair.to.arn.clone())];
        let forwards = routes(seen).filter_map(|r| r.forwards());
        forwards.filter(|f| f.carries(&pair.from.arn)).all(|f| shares::split_for(f, &managed, &wanted, LIMITS).is_ok())
    })
}

/// Returns the longest stickiness of the routes, in seconds.
fn longest_stickiness(seen: &InitFacts, pairs: &[GroupPair]) -> u32 {
    let is_old_group = |arn: &str| pairs.iter().any(|p| p.from.arn == arn);
    let forwards = routes(seen).filter(|r| r.content.split.ids().any(|id| is_old_group(id)));
    forwards.filter_map(|r| r.content.sticky()?.seconds).max().unwrap_or(0)
}
