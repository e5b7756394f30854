//! Rules about capacity: the pods for the next shares must fit into the new cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::normal::normal;
use super::object::{Object, at, list, text};
use super::pair::{Pair, PodIndex};
use super::quantity::{milli, shown};
use super::workloads::{fits, tolerates};
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;

/// The resources that are counted.
const RESOURCES: [&str; 3] = ["cpu", "memory", "pods"];

/// Images of programs that add nodes when pods are pending.
const NODE_AUTOSCALERS: &[&str] = &["karpenter", "cluster-autoscaler"];

type Amounts = BTreeMap<&'static str, i128>;

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    pending(context, findings);
    nodes(context, findings);
    quotas(context, findings);
}

/// Returns what a pod requests. Init containers run one after the other, so only the largest counts.
fn requests(spec: &Value) -> Amounts {
    let of = |container: &Value, resource: &str| {
        let path = |kind: &str| format!("/resources/{kind}/{resource}");
        milli(at(container, &path("requests"))).or_else(|| milli(at(container, &path("limits")))).unwrap_or(0)
    };
    let amounts = RESOURCES.iter().map(|resource| {
        if *resource == "pods" {
            return (*resource, 1000);
        }
        let together = list(spec, "/containers").iter().map(|container| of(container, resource)).sum();
        let first = list(spec, "/initContainers").iter().map(|container| of(container, resource)).max();
        (*resource, first.unwrap_or(0).max(together))
    });
    amounts.collect()
}

/// Returns the number of pods that the new cluster still needs to take over all traffic of a workload.
pub fn lacking(context: &Context<'_>, pair: &Pair<'_>) -> i128 {
    if pair.kind == Kind::DaemonSet {
        return 0;
    }
    let scheduled =
        |pods: &PodIndex<'_>, owner: &Object| pods.of(owner).filter(|pod| pod.text("/spec/nodeName").is_some()).count();
    let (old, new) = (scheduled(&context.from_pods, pair.from), scheduled(&context.to_pods, pair.to));
    old.saturating_sub(new).try_into().unwrap_or(0)
}

fn pending(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    for pair in &context.pairs.workloads {
        let unscheduled = |pod: &&Object| {
            pod.text("/status/phase") == Some("Pending")
                && pod.list("/status/conditions").iter().any(|condition| {
                    text(condition, "/type") == Some("PodScheduled") && text(condition, "/status") == Some("False")
                })
        };
        let waiting: Vec<_> = context.to_pods.of(pair.to).filter(unscheduled).collect();
        let Some(first) = waiting.first() else { continue };
        let conditions = first.list("/status/conditions").iter();
        let why = conditions.filter(|c| text(c, "/type") == Some("PodScheduled")).find_map(|c| text(c, "/message"));
        let message = format!(
            "{} of {:?} {} {} pending in {}: {}",
            count(waiting.len(), "pod"),
            pair.kind,
            pair.to.full_name(),
            if waiting.len() == 1 { "is" } else { "are" },
            to.name,
            why.unwrap_or("no node takes them")
        );
        let help = "these pods get no traffic: add nodes, or correct what the scheduler reports";
        findings.push(Finding::new(Code::CUT162, pair.to.full_name(), message).help(help));
    }
}

/// Returns the free amounts of each node that takes pods.
fn free(cluster: &ClusterFacts) -> Vec<(&Object, Amounts)> {
    let mut used: BTreeMap<&str, Amounts> = BTreeMap::new();
    for pod in cluster.all(Kind::Pod) {
        let ended = matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"));
        let Some(node) = pod.text("/spec/nodeName").filter(|_| !ended) else { continue };
        let sum = used.entry(node).or_default();
        for (resource, amount) in requests(pod.at("/spec")) {
            *sum.entry(resource).or_default() += amount;
        }
    }
    let free = |node: &Object| {
        let amount = |resource: &&'static str| {
            let all = milli(node.at(&format!("/status/allocatable/{resource}"))).unwrap_or(0);
            let used = used.get(node.name.as_str()).and_then(|used| used.get(resource)).copied().unwrap_or(0);
            (*resource, (all - used).max(0))
        };
        RESOURCES.iter().map(amount).collect()
    };
    cluster.all(Kind::Node).iter().map(|node| (node, free(node))).collect()
}

fn nodes(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    if !to.knows(Kind::Node) || !to.knows(Kind::Pod) || !context.from.knows(Kind::Pod) {
        return;
    }
    let mut free = free(to);
    let mut short: Vec<String> = Vec::new();
    for pair in &context.pairs.workloads {
        let lacking = lacking(context, pair);
        let template = pair.to.at("/spec/template/spec");
        let each = requests(template);
        let mut placed = 0;
        while placed < lacking {
            let room = |amounts: &Amounts| each.iter().all(|(resource, need)| amounts[resource] >= *need);
            let place = free
                .iter_mut()
                .find(|(node, amounts)| fits(node, template) && tolerates(node, template) && room(amounts));
            let Some((_, amounts)) = place else { break };
            for (resource, need) in &each {
                amounts.entry(resource).and_modify(|amount| *amount -= need);
            }
            placed += 1;
        }
        if placed < lacking {
            short.push(format!(
                "{} of {} of {} ({}, {} each)",
                lacking - placed,
                count(usize::try_from(lacking).unwrap_or(usize::MAX), "pod"),
                pair.to.full_name(),
                shown("cpu", each["cpu"]),
                shown("memory", each["memory"])
            ));
        }
    }
    if short.is_empty() {
        return;
    }
    let message = format!("the nodes of {} have no room for {}", to.name, short.join("; "));
    let owners = [Kind::Deployment, Kind::DaemonSet].into_iter().flat_map(|kind| to.all(kind));
    let mut images = owners.flat_map(|o| o.list("/spec/template/spec/containers")).filter_map(|c| text(c, "/image"));
    let scales = images.any(|image| NODE_AUTOSCALERS.iter().any(|name| image.contains(name)));
    let (severity, help) = if scales {
        (
            Severity::Warning,
            "the cluster adds nodes when pods are pending; check its limits, or scale up before the step",
        )
    } else {
        (Severity::Error, "pods for the shares to come stay pending: add nodes before the cutover")
    };
    findings.push(Finding::new(Code::CUT160, to.name.clone(), message).help(help).lowered(severity));
}

fn quotas(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    let mut needs: BTreeMap<&str, Amounts> = BTreeMap::new();
    for pair in &pairs.workloads {
        let lacking = lacking(context, pair);
        for (resource, amount) in requests(pair.to.at("/spec/template/spec")) {
            *needs.entry(&pair.to.namespace).or_default().entry(resource).or_default() += amount * lacking;
        }
    }
    for (namespace, needs) in needs {
        for quota in to.within(Kind::ResourceQuota, namespace) {
            let limited = RESOURCES.iter().flat_map(|resource| {
                let names = [(*resource).to_owned(), format!("requests.{resource}")];
                names.into_iter().map(move |name| (*resource, name))
            });
            for (resource, name) in limited {
                let amount = |path: &str| quota.at(path).get(&name).and_then(milli);
                let Some(hard) = amount("/status/hard").or_else(|| amount("/spec/hard")) else { continue };
                let left = hard - amount("/status/used").unwrap_or(0);
                if needs[resource] > left {
                    let message = format!(
                        "ResourceQuota {} of {} leaves {}; the shares to come need {}",
                        quota.full_name(),
                        to.name,
                        shown(resource, left),
                        shown(resource, needs[resource])
                    );
                    let help = "the API refuses the pods: raise the quota";
                    findings.push(Finding::new(Code::CUT163, quota.full_name(), message).help(help));
                    break;
                }
            }
        }
        if from.knows(Kind::LimitRange) && to.knows(Kind::LimitRange) {
            let limits = |cluster| -> Vec<Value> {
                let ranges = ClusterFacts::within(cluster, Kind::LimitRange, namespace);
                ranges.map(|range| normal(range.at("/spec"), cluster)).collect()
            };
            if limits(from) != limits(to) {
                let message =
                    format!("the LimitRanges of namespace {namespace} differ between {} and {}", from.name, to.name);
                let help =
                    "pods without own requests and limits get others in the new cluster: make the LimitRanges equal";
                findings.push(Finding::new(Code::CUT164, namespace, message).help(help));
            }
        }
    }
}
