//! Finds the objects behind the plan's workloads in both clusters, and pairs them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{ClusterFacts, Kind};
use super::object::{Object, selects};
use crate::plan::model::Plan;

/// The kinds that create the pods behind a Service.
pub const POD_OWNERS: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Rollout];

/// An object that creates pods, in the old cluster and in the new one.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The kind of both objects.
    pub kind: Kind,
    /// The object in the cluster that loses traffic.
    pub from: &'a Object,
    /// The object in the cluster that gets traffic.
    pub to: &'a Object,
}

/// The Service of a workload, in the old cluster and in the new one.
#[derive(Debug, Clone, Copy)]
pub struct ServicePair<'a> {
    /// The Service in the cluster that loses traffic.
    pub from: &'a Object,
    /// The Service in the cluster that gets traffic.
    pub to: &'a Object,
}

/// The objects of the plan's workloads.
#[derive(Debug, Default)]
pub struct Pairs<'a> {
    /// The Services that exist in both clusters.
    pub services: Vec<ServicePair<'a>>,
    /// The objects that exist in both clusters.
    pub workloads: Vec<Pair<'a>>,
    /// The objects that exist only in the cluster that loses traffic.
    pub missing: Vec<(Kind, &'a Object)>,
}

/// Finds the objects of the plan's workloads. A Service that is missing is a finding of the preflight, not of the
/// comparison.
pub fn find<'a>(plan: &Plan, from: &'a ClusterFacts, to: &'a ClusterFacts) -> Pairs<'a> {
    let mut pairs = Pairs::default();
    for workload in &plan.workloads {
        let service = |cluster: &'a ClusterFacts| {
            let reference = workload.services.get(&cluster.name)?;
            cluster.one(Kind::Service, &reference.namespace, &reference.name)
        };
        let (Some(old), Some(new)) = (service(from), service(to)) else { continue };
        pairs.services.push(ServicePair { from: old, to: new });
        let candidates = behind(to, new);
        for (kind, owner) in behind(from, old) {
            if pairs.workloads.iter().any(|pair| std::ptr::eq(pair.from, owner)) {
                continue;
            }
            let mut same = candidates.iter().filter(|(other, _)| *other == kind).map(|(_, object)| *object);
            let counterpart = same.clone().find(|object| object.name == owner.name).or_else(|| same.next());
            match counterpart.or_else(|| to.one(kind, &new.namespace, &owner.name)) {
                Some(to) => pairs.workloads.push(Pair { kind, from: owner, to }),
                None if to.knows(kind) => pairs.missing.push((kind, owner)),
                None => {}
            }
        }
    }
    pairs
}

/// Returns the objects behind the Services of the plan's workloads in one cluster.
pub fn owners<'a>(plan: &Plan, cluster: &'a ClusterFacts) -> Vec<&'a Object> {
    let services = plan.workloads.iter().filter_map(|workload| workload.services.get(&cluster.name));
    let services = services.filter_map(|wanted| cluster.one(Kind::Service, &wanted.namespace, &wanted.name));
    services.flat_map(|service| behind(cluster, service)).map(|(_, owner)| owner).collect()
}

/// Returns the objects whose pods a Service selects.
fn behind<'a>(cluster: &'a ClusterFacts, service: &Object) -> Vec<(Kind, &'a Object)> {
    let selector = service.at("/spec/selector");
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return Vec::new();
    }
    let selector = serde_json::json!({ "matchLabels": selector });
    let owners = POD_OWNERS.iter().flat_map(|kind| cluster.all(*kind).iter().map(move |object| (*kind, object)));
    let fits = |object: &Object| {
        object.namespace == service.namespace && selects(&selector, object.at("/spec/template/metadata/labels"))
    };
    owners.filter(|(_, object)| fits(object)).collect()
}

/// The pods of a cluster by namespace and label, so that the pods of an object can be found without reading all pods.
pub struct PodIndex<'a>(BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a Object>>);

impl<'a> PodIndex<'a> {
    /// Indexes the pods of a cluster.
    pub fn new(cluster: &'a ClusterFacts) -> Self {
        let mut index: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for pod in cluster.all(Kind::Pod) {
            let labels = pod.at("/metadata/labels").as_object().into_iter().flatten();
            let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
            // The empty label stands for all pods of the namespace.
            for (key, value) in labels.chain([("", "")]) {
                index.entry((pod.namespace.as_str(), key, value)).or_default().push(pod);
            }
        }
        Self(index)
    }

    /// Returns the pods that an object created.
    pub fn of<'b>(&'b self, owner: &'b Object) -> impl Iterator<Item = &'a Object> + 'b {
        let selector = owner.at("/spec/selector");
        let label = selector.get("matchLabels").and_then(Value::as_object).and_then(|labels| labels.iter().next());
        let (key, value) = label.map_or(("", ""), |(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
        let pods = self.0.get(&(owner.namespace.as_str(), key, value)).into_iter().flatten().copied();
        pods.filter(move |pod| selects(selector, pod.at("/metadata/labels")))
    }
}

/// Returns the containers of a pod template, init containers first.
pub fn containers(owner: &Object) -> impl Iterator<Item = &Value> {
    owner.list("/spec/template/spec/initContainers").iter().chain(owner.list("/spec/template/spec/containers"))
}

/// Returns the number of pods that an object asks for. A DaemonSet has no such number.
pub fn replicas(owner: &Object) -> Option<i64> {
    Some(owner.number("/spec/replicas").unwrap_or(1)).filter(|_| !owner.at("/spec/selector").is_null())
}

/// Returns the autoscaler of an object: a HorizontalPodAutoscaler or a ScaledObject of KEDA.
pub fn autoscaler<'a>(cluster: &'a ClusterFacts, kind: Kind, owner: &'a Object) -> Option<&'a Object> {
    let targets = |object: &Object| {
        object.text("/spec/scaleTargetRef/name") == Some(owner.name.as_str())
            && object.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment") == format!("{kind:?}")
    };
    let of = |kind| cluster.within(kind, &owner.namespace);
    of(Kind::HorizontalPodAutoscaler).chain(of(Kind::ScaledObject)).find(|object| targets(object))
}
