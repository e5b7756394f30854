//! Renders the plan's text.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::model::{GroupPair, InitError, InitFacts, InitRequest, plan_name, routes, routes_by_group};
use crate::base::arn;
use crate::domain::elb::LIMITS;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::shares;
use crate::plan::model::{ClusterAccess, PortRef, ServiceRef};

/// The default steps: share and duration of the bake after it.
const STEPS: [(u32, &str); 5] = [(1, "10m"), (5, "10m"), (20, "20m"), (50, "30m"), (100, "1h")];

pub(super) fn write(request: &InitRequest, seen: &InitFacts, pairs: &[GroupPair]) -> Result<String, InitError> {
    let (from, to) = cluster_names(&request.from, &request.to);
    let name = plan_name(request.name.as_deref().unwrap_or(&seen.load_balancer.name), "cutover");
    let lb = &seen.load_balancer.arn;
    let plan = json!({
        "apiVersion": "cutover.dev/v1alpha1",
        "kind": "Cutover",
        "metadata": {"name": name},
        "spec": {
            "aws": {"accountId": arn::account(lb), "region": arn::region(lb)},
            "clusters": [cluster(&from, &request.from_cluster), cluster(&to, &request.to_cluster)],
            "workloads": pairs.iter().map(|p| workload(request, seen, pairs, p, (&from, &to))).collect::<Vec<_>>(),
            "strategy": {"from": from, "to": to, "steps": steps(seen, pairs, (&from, &to))},
        },
    });
    let yaml = serde_yaml::to_string(&plan).map_err(|e| InitError::Yaml(e.to_string()))?;
    Ok(comments(request, seen, pairs) + &yaml)
}

fn comments(request: &InitRequest, seen: &InitFacts, pairs: &[GroupPair]) -> String {
    let mut out = String::new();
    let mut say = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# {line}");
    };
    say(&format!("Written by `cutover init` for the load balancer {}.", seen.load_balancer.name));
    say("Review it. Next: `cutover check` (shows what would happen, and problems), `cutover rehearse`, `cutover run`.");
    let ours: BTreeSet<&str> = pairs.iter().flat_map(|p| [p.from.arn.as_str(), p.to.arn.as_str()]).collect();
    let others: Vec<&str> = routes_by_group(seen)
        .into_keys()
        .filter(|a| !ours.contains(a))
        .map(crate::domain::elb::select::short_name)
        .collect();
    if !others.is_empty() {
        say(&format!("Not in this plan, not changed: {}.", others.join(", ")));
    }
    if [&request.from_cluster, &request.to_cluster].contains(&&ClusterAccess::None) {
        say("No clusters are given, so no bindings are created: the new target groups need targets already.");
        say("With `eks: NAME` or `kubeContext: NAME` in both clusters and a `service` in each workload, \
             `bind` creates them.");
    }
    say("`expect` is the number of routes that the workload has today; with any other number, the run does not start.");
    out
}

/// The part that differs between the globs: `a` and `b` for `*-a` and `*-b`.
fn cluster_names(from: &[String], to: &[String]) -> (String, String) {
    let bare = |globs: &[String]| globs.first().map(|g| g.replace(['*', '?'], "")).unwrap_or_default();
    let (left, right): (Vec<char>, Vec<char>) = (bare(from).chars().collect(), bare(to).chars().collect());
    let prefix = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let suffix = left[prefix..].iter().rev().zip(right[prefix..].iter().rev()).take_while(|(a, b)| a == b).count();
    let cut = |text: &[char]| text[prefix..text.len() - suffix].iter().collect::<String>();
    let (left, right) = (plan_name(&cut(&left), "old"), plan_name(&cut(&right), "new"));
    if left == right { ("old".to_owned(), "new".to_owned()) } else { (left, right) }
}

fn cluster(name: &str, access: &ClusterAccess) -> Value {
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
    if let Some(service) = service(request, seen, pairs, pair) {
        let port = match &service.port {
            PortRef::Number(number) => json!(number),
            PortRef::Name(name) => json!(name),
        };
        all.insert("service".to_owned(), json!({"namespace": service.namespace, "name": service.name, "port": port}));
        let owned = seen.to_bindings.iter().find(|b| b.binds(&pair.to)).is_some_and(|b| b.gitops_owner().is_some());
        let mode = if owned { "verify" } else { "create" };
        all.insert("binding".to_owned(), json!({"mode": mode, "targetType": pair.to.target_type}));
    }
    let groups = Map::from_iter([(from.to_owned(), json!(pair.from.name)), (to.to_owned(), json!(pair.to.name))]);
    let alb = json!({"loadBalancer": seen.load_balancer.name, "targetGroups": groups, "expect": pair.actions});
    all.insert("routes".to_owned(), json!([{"alb": alb}]));
    Value::Object(all)
}

/// The requested Service, or the one of an existing binding; only if both clusters have access data.
fn service(request: &InitRequest, seen: &InitFacts, pairs: &[GroupPair], pair: &GroupPair) -> Option<ServiceRef> {
    if [&request.from_cluster, &request.to_cluster].contains(&&ClusterAccess::None) {
        return None;
    }
    if let Some(service) = request.service.as_ref().filter(|_| pairs.len() == 1) {
        return Some(service.clone());
    }
    let bound = |bindings: &[Binding], group| bindings.iter().find(|b| b.binds(group)).cloned();
    let binding = bound(&seen.from_bindings, &pair.from).or_else(|| bound(&seen.to_bindings, &pair.to))?;
    Some(ServiceRef { namespace: binding.namespace, name: binding.service, port: binding.port })
}

/// `bind`, then every default share that the weights of all routes can express, each followed by its bake.
fn steps(seen: &InitFacts, pairs: &[GroupPair], (from, to): (&str, &str)) -> Vec<Value> {
    let mut all = vec![json!({"bind": {}})];
    let sticky = longest_stickiness(seen, pairs);
    for (share, bake) in STEPS.into_iter().filter(|(share, _)| is_expressible(seen, pairs, (from, to), *share)) {
        let named = all.len() == 1;
        all.push(if named {
            json!({"setWeight": share, "name": "first-traffic"})
        } else {
            json!({"setWeight": share})
        });
        let bake = if share == 100 && sticky > 3600 { format!("{sticky}s") } else { bake.to_owned() };
        all.push(json!({"pause": {"duration": bake}}));
    }
    all
}

fn is_expressible(seen: &InitFacts, pairs: &[GroupPair], (from, to): (&str, &str), share: u32) -> bool {
    let wanted = [(from.to_owned(), 100 - share), (to.to_owned(), share)].into();
    pairs.iter().all(|pair| {
        let managed = [(from.to_owned(), pair.from.arn.clone()), (to.to_owned(), pair.to.arn.clone())];
        let forwards = routes(seen).filter_map(|r| r.forwards());
        forwards.filter(|f| f.carries(&pair.from.arn)).all(|f| shares::split_for(f, &managed, &wanted, LIMITS).is_ok())
    })
}

/// The longest stickiness of the routes, in seconds.
fn longest_stickiness(seen: &InitFacts, pairs: &[GroupPair]) -> u32 {
    let ours = |arn: &str| pairs.iter().any(|p| p.from.arn == arn);
    let forwards = routes(seen).filter(|r| r.content.split.ids().any(|id| ours(id)));
    forwards.filter_map(|r| r.content.sticky()?.seconds).max().unwrap_or(0)
}
