//! Decides for each binding of the old cluster whether its target group can move, and to which group.

use std::collections::{BTreeMap, BTreeSet};

use super::super::model::{GroupPair, InitFacts, routes, routes_by_group};
use super::counterpart::{CounterpartSearch, Rule};
use super::model::{ClusterInitFacts, ClusterInitRequest};
use super::names::ClusterNames;
use crate::domain::compare::facts::{ClusterFacts, Kind};
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::other_type::{other_type, refusal};
use crate::domain::elb::select::short_name;
use crate::domain::kubernetes::binding::Binding;
use crate::plan::model::ServiceRef;

/// A target group that moves.
#[derive(Clone)]
pub struct GroupMove<'a> {
    pub pair: GroupPair,
    pub balancer: &'a InitFacts,
    pub rule: Rule,
    pub from: ServiceRef,
    pub to: ServiceRef,
    /// Whether a GitOps tool owns the binding of the new cluster.
    pub is_verified: bool,
    /// The name of the binding in the old cluster.
    binding: String,
}

impl GroupMove<'_> {
    /// Returns the move with the name of its workload.
    pub fn named(&self, workload: String) -> Self {
        Self { pair: GroupPair { workload, ..self.pair.clone() }, ..self.clone() }
    }
}

/// The groups that move, and a sentence for each binding that is left out.
pub struct Collected<'a> {
    pub moves: Vec<GroupMove<'a>>,
    pub left_out: Vec<String>,
}

pub fn collect<'a>(request: &ClusterInitRequest, facts: &'a ClusterInitFacts, names: &ClusterNames) -> Collected<'a> {
    let search = CounterpartSearch::new(request, facts, names);
    let mut bindings: Vec<&Binding> = facts.from_bindings.iter().collect();
    bindings.sort_by_key(|binding| (&binding.namespace, &binding.name));
    let mut collected = Collected { moves: Vec::new(), left_out: Vec::new() };
    for binding in bindings {
        match group_move(facts, names, &search, binding) {
            Ok(found) => collected.moves.push(found),
            Err(why) => collected.left_out.push(format!("{}: {why}", binding.full_name())),
        }
    }
    remove_shared_counterparts(&mut collected);
    remove_routes_in_conflict(facts, &mut collected);
    collected.left_out.sort();
    collected
}

fn group_move<'a>(
    facts: &'a ClusterInitFacts,
    names: &ClusterNames,
    search: &CounterpartSearch<'_>,
    binding: &Binding,
) -> Result<GroupMove<'a>, String> {
    let group = facts.groups.iter().find(|group| binding.binds(group));
    let group = group.ok_or_else(|| {
        let named = binding.extra.get("targetGroupName").and_then(serde_json::Value::as_str);
        let named = named.unwrap_or_else(|| short_name(&binding.target_group_arn));
        format!("the target group {named} does not exist in this account and region")
    })?;
    let same: Vec<_> = facts.from_bindings.iter().filter(|b| b.binds(group)).map(Binding::full_name).collect();
    if same.len() > 1 {
        let (name, all) = (&group.name, same.join(", "));
        return Err(format!("several bindings of {} use the target group {name}: {all}", names.from.planned));
    }
    let from = service(binding);
    exists(&facts.from_objects, &names.from.planned, &from)?;
    let balancer = balancer_of(facts, group)?;
    let actions = routes_by_group(balancer).get(group.arn.as_str()).map_or(0, Vec::len);
    if actions == 0 {
        return Err(format!("no known route of {} sends traffic to {}", balancer.load_balancer.name, group.name));
    }
    let (counterpart, rule) = search.find(binding, group)?;
    let bound: Vec<&Binding> = facts.to_bindings.iter().filter(|b| b.binds(counterpart)).collect();
    if bound.len() > 1 {
        let all: Vec<_> = bound.iter().map(|b| b.full_name()).collect();
        let (to, name) = (&names.to.planned, &counterpart.name);
        return Err(format!("several bindings of {to} use the target group {name}: {}", all.join(", ")));
    }
    let to = bound.first().map_or_else(|| from.clone(), |binding| service(binding));
    exists(&facts.to_objects, &names.to.planned, &to)?;
    let is_verified = bound.first().is_some_and(|binding| binding.gitops_owner().is_some());
    let pair = GroupPair { workload: String::new(), from: group.clone(), to: counterpart.clone(), actions };
    Ok(GroupMove { pair, balancer, rule, from, to, is_verified, binding: binding.full_name() })
}

fn service(binding: &Binding) -> ServiceRef {
    let Binding { namespace, service, port, .. } = binding;
    ServiceRef { namespace: namespace.clone(), name: service.clone(), port: port.clone() }
}

/// Returns an error if a Service does not exist. A Service whose existence is unknown passes.
fn exists(cluster: &ClusterFacts, name: &str, service: &ServiceRef) -> Result<(), String> {
    let found = cluster.one(Kind::Service, &service.namespace, &service.name);
    if found.is_none() && cluster.knows(Kind::Service) {
        return Err(format!("the Service {}/{} does not exist in {name}", service.namespace, service.name));
    }
    Ok(())
}

fn balancer_of<'a>(facts: &'a ClusterInitFacts, group: &TargetGroup) -> Result<&'a InitFacts, String> {
    let [arn] = group.load_balancers.as_slice() else {
        return Err(match group.load_balancers.len() {
            0 => format!("the target group {} has no load balancer", group.name),
            _ => format!("the target group {} has several load balancers", group.name),
        });
    };
    if let Some((_, why)) = facts.unread.iter().find(|(unread, _)| unread == arn) {
        return Err(format!("the load balancer {} cannot be read: {why}", short_name(arn)));
    }
    let found = facts.balancers.iter().find(|balancer| balancer.load_balancer.arn == *arn);
    let found = found.ok_or_else(|| format!("the load balancer {} does not exist", short_name(arn)))?;
    match other_type(&found.load_balancer) {
        Some(kind) => Err(refusal(&found.load_balancer.name, kind)),
        None => Ok(found),
    }
}

/// Leaves out the groups that have one counterpart together.
fn remove_shared_counterparts(collected: &mut Collected<'_>) {
    let mut by_counterpart: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in &collected.moves {
        by_counterpart.entry(found.pair.to.arn.clone()).or_default().push(found.pair.from.name.clone());
    }
    leave_out(collected, |found| {
        let several = by_counterpart.get(&found.pair.to.arn).filter(|groups| groups.len() > 1)?;
        Some(format!("{} would be the counterpart of {}", found.pair.to.name, several.join(" and ")))
    });
}

/// Leaves out the groups of routes that already divide the traffic of a pair, or that forward to two pairs.
fn remove_routes_in_conflict(facts: &ClusterInitFacts, collected: &mut Collected<'_>) {
    let mut why: BTreeMap<String, String> = BTreeMap::new();
    for balancer in &facts.balancers {
        for route in routes(balancer) {
            let live = &route.content.split;
            let carries = |group: &TargetGroup| live.carries(&group.arn);
            let here: Vec<&GroupPair> =
                collected.moves.iter().map(|found| &found.pair).filter(|pair| carries(&pair.from)).collect();
            let label = format!("{} {}", balancer.load_balancer.name, route.label());
            let groups: BTreeSet<&str> = here.iter().map(|pair| pair.from.name.as_str()).collect();
            for pair in here {
                if groups.len() > 1 {
                    let groups: Vec<_> = groups.iter().copied().collect();
                    why.insert(
                        pair.from.arn.clone(),
                        format!(
                            "{label} forwards to {}, but a route can belong to one workload only",
                            groups.join(" and ")
                        ),
                    );
                } else if carries(&pair.to) {
                    why.insert(
                        pair.from.arn.clone(),
                        format!("{label} already divides its traffic between {} and {}", pair.from.name, pair.to.name),
                    );
                }
            }
        }
    }
    leave_out(collected, |found| why.get(&found.pair.from.arn).cloned());
}

fn leave_out(collected: &mut Collected<'_>, why: impl Fn(&GroupMove<'_>) -> Option<String>) {
    let Collected { moves, left_out } = collected;
    moves.retain(|found| match why(found) {
        Some(why) => {
            left_out.push(format!("{}: {why}", found.binding));
            false
        }
        None => true,
    });
}
