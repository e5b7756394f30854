//! Renders the plan for a whole cluster, with the parts of the plan for one load balancer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::header_route;
use super::super::model::{GroupPair, InitError, InitFacts, plan_name, routes};
use super::super::yaml;
use super::collect::{Collected, GroupMove};
use super::comments::comments;
use super::hand_over::{Proposal, propose};
use super::model::{ClusterInitFacts, ClusterInitRequest};
use super::names::ClusterNames;
use crate::base::arn;
use crate::plan::MAX_BYTES;

/// The Services and the binding of a workload. Groups with the same value belong to one workload.
type WorkloadKey = (crate::plan::model::ServiceRef, crate::plan::model::ServiceRef, bool, String);

/// A workload with its groups, each by its place in the list of moves.
struct WorkloadGroups {
    name: String,
    key: WorkloadKey,
    moves: Vec<usize>,
}

pub fn render(
    request: &ClusterInitRequest,
    facts: &ClusterInitFacts,
    names: &ClusterNames,
    collected: &Collected<'_>,
) -> Result<String, InitError> {
    let workloads = workloads(&collected.moves);
    let mut named = Vec::new();
    for (place, found) in collected.moves.iter().enumerate() {
        let workload = workloads.iter().find(|workload| workload.moves.contains(&place));
        let workload = workload.map(|workload| workload.name.clone()).unwrap_or_default();
        named.push(found.named(workload));
    }
    let collected = Collected { moves: named, left_out: collected.left_out.clone() };
    let short = (names.from.planned.as_str(), names.to.planned.as_str());
    let namespaces: BTreeSet<&str> = workloads.iter().map(|workload| workload.key.0.namespace.as_str()).collect();
    let proposal = propose(&facts.from_objects, &facts.to_objects, names, namespaces.iter().copied());
    let first = collected.moves.first().map(|found| found.pair.from.arn.as_str()).unwrap_or_default();
    let mut strategy = json!({"from": short.0, "to": short.1});
    let mut spec = json!({
        "aws": {"accountId": arn::account(first), "region": arn::region(first)},
        "clusters": [yaml::cluster(short.0, &request.from_cluster), yaml::cluster(short.1, &request.to_cluster)],
        "workloads": workloads.iter().map(|w| workload(w, &collected.moves, short)).collect::<Vec<_>>(),
    });
    let all: Vec<&GroupMove<'_>> = collected.moves.iter().collect();
    if let [only] = namespaces.iter().copied().collect::<Vec<_>>()[..] {
        let fits = fits(&all);
        strategy["steps"] = steps(&all, short, proposal.steps.get(only), fits).into();
    } else {
        strategy["waves"] = json!({"between": {"duration": "30m"}});
        let fits = fits(&all);
        strategy["steps"] = steps(&all, short, None, fits).into();
        spec["waves"] = waves(&namespaces, &workloads, &collected.moves, short, (&proposal, fits)).into();
    }
    spec["strategy"] = strategy;
    let name = request.name.clone().unwrap_or_else(|| format!("{}-to-{}", names.from.full, names.to.full));
    let plan = json!({
        "apiVersion": "cutover.dev/v1alpha1",
        "kind": "Cutover",
        "metadata": {"name": plan_name(&name, "cutover")},
        "spec": spec,
    });
    let yaml = serde_yaml::to_string(&plan).map_err(|e| InitError::Yaml(e.to_string()))?;
    let balancers = by_balancer(&all);
    let balancers: Vec<_> = balancers.values().map(|(seen, pairs)| (*seen, pairs.as_slice())).collect();
    let text = comments(facts, names, &collected, &proposal) + &header_route::with_probe(&yaml, &balancers);
    let too_large = |why| InitError::TooLarge { workloads: workloads.len(), why };
    if text.len() > MAX_BYTES {
        return Err(too_large(format!("a plan has at most {MAX_BYTES} bytes, and this one {}", text.len())));
    }
    match crate::plan::lint("plan", text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(errors) => Err(InitError::Yaml(errors.to_string())),
    }
}

/// Groups the moves by Services, in the order of namespaces and names.
fn workloads(moves: &[GroupMove<'_>]) -> Vec<WorkloadGroups> {
    let mut by_key: BTreeMap<WorkloadKey, Vec<usize>> = BTreeMap::new();
    for (place, found) in moves.iter().enumerate() {
        let target_type = found.pair.to.target_type.clone();
        let key = (found.from.clone(), found.to.clone(), found.is_verified, target_type);
        by_key.entry(key).or_default().push(place);
    }
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for (service, ..) in by_key.keys() {
        *count.entry(plan_name(&service.name, "workload")).or_default() += 1;
    }
    let mut used = BTreeSet::new();
    let mut named = |key: &WorkloadKey| {
        let short = plan_name(&key.0.name, "workload");
        let is_unique = count.get(&short) == Some(&1);
        let base =
            if is_unique { short } else { plan_name(&format!("{}-{}", key.0.namespace, key.0.name), "workload") };
        let mut name = base.clone();
        let mut number = 2;
        while !used.insert(name.clone()) {
            name = plan_name(&format!("{}-{number}", base.chars().take(59).collect::<String>()), "workload");
            number += 1;
        }
        name
    };
    by_key.into_iter().map(|(key, moves)| WorkloadGroups { name: named(&key), key, moves }).collect()
}

fn workload(workload: &WorkloadGroups, moves: &[GroupMove<'_>], (from, to): (&str, &str)) -> Value {
    let (old, new, is_verified, target_type) = &workload.key;
    let mut all = Map::new();
    all.insert("name".to_owned(), json!(workload.name));
    let (field, service) = yaml::service_of_both((from, old), (to, new));
    all.insert(field.to_owned(), service);
    let mode = if *is_verified { "verify" } else { "create" };
    all.insert("binding".to_owned(), json!({"mode": mode, "targetType": target_type}));
    let entries = workload.moves.iter().map(|place| route(&moves[*place], (from, to)));
    all.insert("routes".to_owned(), Value::Array(entries.collect()));
    Value::Object(all)
}

/// Returns an entry of `routes` with the ports of its listeners. Several workloads can share a load balancer, each with
/// its own listeners.
fn route(found: &GroupMove<'_>, short: (&str, &str)) -> Value {
    let mut route = yaml::route(found.balancer, &found.pair, short);
    let own = routes(found.balancer).filter(|route| route.content.split.carries(&found.pair.from.arn));
    let ports: BTreeSet<u16> = own.map(|route| route.port).collect();
    for (_, entry) in route.as_object_mut().into_iter().flatten() {
        entry["listeners"] = json!(ports);
    }
    route
}

/// Returns a wave for each namespace. A wave with a hand-over has its own steps.
fn waves(
    namespaces: &BTreeSet<&str>,
    workloads: &[WorkloadGroups],
    moves: &[GroupMove<'_>],
    short: (&str, &str),
    (proposal, has_header_route): (&Proposal, bool),
) -> Vec<Value> {
    let wave = |namespace: &&str| {
        let own: Vec<_> = workloads.iter().filter(|w| w.key.0.namespace == **namespace).collect();
        let names: Vec<_> = own.iter().map(|workload| workload.name.as_str()).collect();
        let mut wave = json!({"name": plan_name(namespace, "wave"), "workloads": names});
        if let Some(step) = proposal.steps.get(*namespace) {
            let own = moves_of(namespace, workloads, moves);
            wave["steps"] = steps(&own, short, Some(step), has_header_route).into();
        }
        wave
    };
    namespaces.iter().map(wave).collect()
}

/// Returns the moves of a namespace's workloads.
fn moves_of<'a, 'b>(
    namespace: &str,
    workloads: &[WorkloadGroups],
    moves: &'b [GroupMove<'a>],
) -> Vec<&'b GroupMove<'a>> {
    let own = workloads.iter().filter(|workload| workload.key.0.namespace == namespace);
    own.flat_map(|workload| &workload.moves).map(|place| &moves[*place]).collect()
}

/// Returns the load balancers of these groups, each with its pairs.
fn by_balancer<'a>(moves: &[&GroupMove<'a>]) -> BTreeMap<&'a str, (&'a InitFacts, Vec<GroupPair>)> {
    let mut all: BTreeMap<&str, (&InitFacts, Vec<GroupPair>)> = BTreeMap::new();
    for found in moves {
        let arn = found.balancer.load_balancer.arn.as_str();
        all.entry(arn).or_insert_with(|| (found.balancer, Vec::new())).1.push(found.pair.clone());
    }
    all
}

/// Whether every route of these groups can have a header rule.
fn fits(moves: &[&GroupMove<'_>]) -> bool {
    let all = by_balancer(moves);
    header_route::fits(&all.values().map(|(seen, pairs)| (*seen, pairs.as_slice())).collect::<Vec<_>>())
}

/// Returns the steps for these groups. A hand-over comes directly before the first share.
fn steps(
    moves: &[&GroupMove<'_>],
    short: (&str, &str),
    hand_over: Option<&Value>,
    has_header_route: bool,
) -> Vec<Value> {
    let by_balancer = by_balancer(moves);
    let all: Vec<_> = by_balancer.values().map(|(seen, pairs)| (*seen, pairs.as_slice())).collect();
    let mut steps = yaml::steps(&all, short, has_header_route);
    if let Some(step) = hand_over {
        let first = steps.iter().position(|step| step.get("setWeight").is_some()).unwrap_or(steps.len());
        steps.insert(first, step.clone());
    }
    steps
}
