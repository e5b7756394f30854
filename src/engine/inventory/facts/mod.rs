//! Reads the facts that the preflight judges, in parallel and each only once. A failed read is not fatal: the facts
//! contain its error. Do not judge or change anything here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{join, join3};
use futures::stream;
use jiff::Timestamp;

use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::{ExistingNames, LiveResources, SelectedGroup, Selection, select_at};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest, QueriedCluster};
use crate::domain::preflight::facts::{Caller, ClusterFacts, DryRunError, Facts, ItemFacts, MachineFacts};
use crate::domain::preflight::needed_quotas;
use crate::domain::traffic::Unreadable;
use crate::plan::model::metric::{GateScope, MetricGate, MetricSource};
use crate::plan::model::{BindingMode, ClusterName, Plan, Selector, Shares, StepKind};
use crate::port::{Cluster, Detail, Groups, Inventory, Metrics, Traffic, WriteError};

/// The maximum number of calls at the same time. The ports limit the rates.
const MAX_PARALLEL: usize = 16;

/// The clusters that the plan gives access to.
pub type ClusterPorts = BTreeMap<ClusterName, Arc<dyn Cluster>>;

/// Reads all facts for a run that starts at the first step.
pub async fn gather(plan: &Plan, inventory: &dyn Inventory, traffic: &dyn Traffic, clusters: &ClusterPorts) -> Facts {
    gather_at(plan, plan.strategy.start.as_ref(), inventory, traffic, clusters).await
}

/// Reads all facts for a run that starts from other shares (`--from-step`). `start: None` accepts any live shares.
pub async fn gather_at(
    plan: &Plan,
    start: Option<&Shares>,
    inventory: &dyn Inventory,
    traffic: &dyn Traffic,
    clusters: &ClusterPorts,
) -> Facts {
    let (aws, mut reached) = join(read_aws(plan, start, inventory, traffic), read_clusters(plan, clusters)).await;
    dry_runs(plan, &aws.selection, clusters, &mut reached).await;
    Facts { clusters: reached, ..aws }
}

/// Queries the source of every metric gate once, for the time until now, but runs no commands. Returns the answers by
/// gate.
pub async fn gate_answers(
    plan: &Plan,
    selection: &Selection,
    metrics: &dyn Metrics,
    now: Timestamp,
) -> BTreeMap<String, MeasuredValue> {
    let side = |cluster: &str, gate: &MetricGate| {
        let of_gate = |g: &&SelectedGroup| {
            g.cluster == cluster && !matches!(&gate.scope, GateScope::Workload(name) if *name != g.workload)
        };
        let groups =
            selection.groups.iter().filter(|(_, g)| of_gate(g)).map(|(arn, g)| (arn.clone(), g.load_balancer.clone()));
        QueriedCluster { cluster: cluster.to_owned(), groups: groups.collect() }
    };
    let question = |gate: &MetricGate| {
        let to = now.checked_sub(gate.delay).unwrap_or(now);
        let from = to.checked_sub(gate.interval.max(gate.window)).unwrap_or(to);
        MeasurementRequest {
            gate: gate.clone(),
            from,
            to,
            old: side(&plan.strategy.from, gate),
            new: side(&plan.strategy.to, gate),
        }
    };
    let gates = plan.strategy.metrics.iter().filter(|gate| !matches!(gate.source, MetricSource::Exec(_)));
    let requests: Vec<_> = gates.map(question).collect();
    if requests.is_empty() {
        return BTreeMap::new();
    }
    let seen = metrics.measure(&requests).await;
    requests.into_iter().zip(seen).map(|(request, seen)| (request.gate.name, seen)).collect()
}

/// Estimates the number of calls of [`gather`], for the progress. Selectors by tags may match more than is estimated.
pub fn expected_calls(plan: &Plan) -> usize {
    let entries = || plan.workloads.iter().flat_map(|w| &w.routes);
    let balancers: BTreeSet<&Selector> = entries().map(|e| &e.load_balancer).collect();
    let groups: BTreeSet<&Selector> = entries().flat_map(|e| &e.target_groups).map(|(_, s)| s).collect();
    let routes: usize = entries().map(|e| e.expect.unwrap_or(1)).sum();
    // The calls for a load balancer read the load balancer itself, its attributes and tags, its listeners, rules and
    // groups, and in two calls the tags of these. The calls for a group read its attributes and its health.
    balancers.len() * 8 + groups.len() * 2 + (groups.len() + routes).div_ceil(20) + needed_quotas(plan).len() + 1
}

/// Reads only the live resources that the plan's selectors match.
pub async fn live_selection(plan: &Plan, inventory: &dyn Inventory) -> LiveResources {
    read_live(plan, inventory).await.0
}

async fn read_aws(plan: &Plan, start: Option<&Shares>, inventory: &dyn Inventory, traffic: &dyn Traffic) -> Facts {
    let needed: BTreeSet<&'static str> = needed_quotas(plan).into_iter().collect();
    let quotas = read_each(needed, |name| inventory.quota(name));
    let (caller, quotas, (live, attached)) = join3(inventory.caller(), quotas, read_live(plan, inventory)).await;
    let selection = select_at(plan, &live, start);
    let known: BTreeSet<&String> =
        attached.values().flatten().flatten().map(|g| &g.arn).chain(selection.groups.keys()).collect();
    let groups: Vec<String> = known.into_iter().cloned().collect();
    let health = traffic.health(&groups).await;
    let caller = caller.map(|c| Caller { account: c.account, arn: c.arn, expires: c.expires });
    Facts {
        caller,
        live,
        selection,
        attached,
        health,
        quotas,
        clusters: BTreeMap::new(),
        gate_answers: BTreeMap::new(),
        items: ItemFacts::default(),
        machine: MachineFacts::default(),
        reading_ended: None,
    }
}

type Attached = BTreeMap<String, Result<Vec<TargetGroup>, Unreadable>>;

async fn read_live(plan: &Plan, inventory: &dyn Inventory) -> (LiveResources, Attached) {
    let entries = || plan.workloads.iter().flat_map(|w| &w.routes);
    let selectors: BTreeSet<&Selector> = entries().map(|e| &e.load_balancer).collect();
    let load_balancers = read_each(selectors, |s| inventory.load_balancers(s, Detail::Full)).await;
    let arns: BTreeSet<String> = load_balancers.values().flatten().flatten().map(|lb| lb.arn.clone()).collect();
    let read = |arn: String| async move {
        join(inventory.listeners(&arn, Detail::Full), inventory.target_groups(Groups::Of(&arn), Detail::Full)).await
    };
    let (mut listeners, mut attached) = (BTreeMap::new(), BTreeMap::new());
    for (arn, (of_listeners, of_groups)) in read_each(arns, read).await {
        listeners.insert(arn.clone(), of_listeners);
        attached.insert(arn, of_groups);
    }
    let selectors: BTreeSet<&Selector> = entries().flat_map(|e| &e.target_groups).map(|(_, s)| s).collect();
    let groups = read_each(selectors, |selector| {
        let known = attached.values().flatten().flatten().find(|g| is_only_match(selector, g)).cloned();
        async move {
            match known {
                Some(group) => Ok(vec![group]),
                None => inventory.target_groups(Groups::Matching(selector), Detail::Full).await,
            }
        }
    })
    .await;
    let existing = ExistingNames {
        load_balancers: if is_missing(&load_balancers) { balancer_names(inventory).await } else { Vec::new() },
        groups: if is_missing(&groups) { group_names(inventory).await } else { Vec::new() },
    };
    let (load_balancers, groups) = (to_owned_keys(load_balancers), to_owned_keys(groups));
    let live = LiveResources { load_balancers, listeners, groups, existing };
    (live, attached)
}

/// Whether a selector by name matches nothing, perhaps because the name is misspelled.
fn is_missing<T>(found: &BTreeMap<&Selector, Result<Vec<T>, Unreadable>>) -> bool {
    found.iter().any(|(selector, found)| {
        matches!(selector, Selector::Name(_))
            && match found {
                Ok(all) => all.is_empty(),
                Err(why) => matches!(why, Unreadable::NotFound(_)),
            }
    })
}

/// Returns a selector without tags, which matches every resource.
fn everything() -> Selector {
    Selector::Tags(BTreeMap::new())
}

async fn balancer_names(inventory: &dyn Inventory) -> Vec<String> {
    let all = inventory.load_balancers(&everything(), Detail::Listed).await.unwrap_or_default();
    all.into_iter().map(|balancer| balancer.name).collect()
}

async fn group_names(inventory: &dyn Inventory) -> Vec<String> {
    let all = inventory.target_groups(Groups::Matching(&everything()), Detail::Listed).await.unwrap_or_default();
    all.into_iter().map(|group| group.name).collect()
}

fn to_owned_keys<V>(found: BTreeMap<&Selector, V>) -> BTreeMap<Selector, V> {
    found.into_iter().map(|(selector, value)| (selector.clone(), value)).collect()
}

/// Returns whether a group that is already known is the only match of a selector. A tag selector may match more groups,
/// so it is always queried.
fn is_only_match(selector: &Selector, group: &TargetGroup) -> bool {
    match selector {
        Selector::Name(name) => *name == group.name,
        Selector::Arn(arn) => *arn == group.arn,
        Selector::Tags(_) => false,
    }
}

/// Calls `ask` for each key, with at most [`MAX_PARALLEL`] calls at the same time.
async fn read_each<K: Ord + Clone, V, F: Future<Output = V>>(
    keys: BTreeSet<K>,
    ask: impl Fn(K) -> F,
) -> BTreeMap<K, V> {
    let asked = keys.into_iter().map(|key| {
        let answer = ask(key.clone());
        async move { (key, answer.await) }
    });
    stream::iter(asked).buffer_unordered(MAX_PARALLEL).collect().await
}

async fn read_clusters(plan: &Plan, clusters: &ClusterPorts) -> BTreeMap<ClusterName, ClusterFacts> {
    let names: BTreeSet<&ClusterName> = clusters.keys().collect();
    let reached = read_each(names, |name| {
        let cluster = Arc::clone(&clusters[name]);
        async move { read_cluster(plan, name, cluster.as_ref()).await }
    })
    .await;
    reached.into_iter().map(|(name, facts)| (name.clone(), facts)).collect()
}

async fn read_cluster(plan: &Plan, name: &str, cluster: &dyn Cluster) -> ClusterFacts {
    let identity = match cluster.identity().await {
        Ok(identity) => identity,
        // The other calls would also fail, each after its own time-out.
        Err(why) => {
            return ClusterFacts {
                bindings: Err(why.clone()),
                identity: Err(why),
                workloads: BTreeMap::new(),
                dry_runs: BTreeMap::new(),
            };
        }
    };
    let (names, services): (Vec<_>, Vec<_>) =
        plan.workloads.iter().filter_map(|w| Some((w.name.clone(), w.service(name)?))).unzip();
    let bindings = async { if identity.binding_api.is_some() { cluster.bindings().await } else { Ok(Vec::new()) } };
    let (bindings, views) = join(bindings, cluster.workloads(&services)).await;
    let workloads = names.into_iter().zip(views).collect();
    ClusterFacts { identity: Ok(identity), bindings, workloads, dry_runs: BTreeMap::new() }
}

/// Does a server-side dry-run of each binding that `bind` would create.
async fn dry_runs(
    plan: &Plan,
    selection: &Selection,
    clusters: &ClusterPorts,
    facts: &mut BTreeMap<ClusterName, ClusterFacts>,
) {
    if !plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind) {
        return;
    }
    let wanted: Vec<(ClusterName, Binding)> = selection
        .groups
        .values()
        .filter_map(|selected| {
            let workload =
                plan.workloads.iter().find(|w| w.name == selected.workload && w.binding.mode == BindingMode::Create)?;
            let cluster = facts.get(&selected.cluster)?;
            let bindings = cluster.bindings.as_ref().ok()?;
            let missing =
                !bindings.iter().any(|b| b.binds(&selected.group)) && plan.strategy.peak(&selected.cluster) > 0;
            let served = cluster.identity.as_ref().is_ok_and(|i| i.binding_api.is_some());
            let binding = Binding::for_group(workload, &selected.cluster, &selected.group)?;
            let taken = bindings.iter().any(|b| b.namespace == binding.namespace && b.name == binding.name);
            let backed = matches!(cluster.workloads.get(&workload.name), Some(Ok(view)) if view.service.is_some());
            (missing && served && backed && !taken).then(|| (selected.cluster.clone(), binding))
        })
        .collect();
    let tried = wanted.into_iter().filter_map(|(name, binding)| {
        let cluster = Arc::clone(clusters.get(&name)?);
        Some(async move {
            let result = cluster.apply(&binding, true).await.map_err(|e| match e {
                WriteError::Refused(_) | WriteError::NotFound(_) => DryRunError::Refused(e.to_string()),
                e => DryRunError::NoAnswer(e.to_string()),
            });
            (name, binding.target_group_arn, result)
        })
    });
    let results: Vec<_> = stream::iter(tried).buffer_unordered(MAX_PARALLEL).collect().await;
    for (name, group, result) in results {
        if let Some(cluster) = facts.get_mut(&name) {
            cluster.dry_runs.insert(group, result);
        }
    }
}

#[cfg(test)]
mod tests;
