//! Reads once the objects of a namespace that its workloads share. Do not judge the objects here.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{self as core, Namespace};
use kube::{Api, ResourceExt};

use super::value::{self, OwnerObject};
use super::{K8s, list, read};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{Hpa, Service, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;

/// The labels of a namespace, and the objects in it except Services and pods.
#[derive(Debug)]
pub(super) struct NamespaceObjects {
    labels: BTreeMap<String, String>,
    /// The bindings by Service.
    bindings: BTreeMap<String, Vec<Binding>>,
    /// The UIDs of ReplicaSets, each with the UIDs of its owners.
    sets: BTreeMap<String, Vec<String>>,
    owners: Vec<OwnerObject>,
    /// The positions in `owners` by UID, and by each label of the template: a namespace may have thousands of owners.
    owners_by_uid: BTreeMap<String, usize>,
    owners_by_label: BTreeMap<(String, String), BTreeSet<usize>>,
    /// The autoscalers by target.
    hpas: BTreeMap<String, Vec<Hpa>>,
}

impl NamespaceObjects {
    pub async fn of(cluster: &K8s, namespace: &str) -> Result<Self, Unreadable> {
        let client = || cluster.client.clone();
        let found = read(Api::<Namespace>::all(client()).get_opt(namespace)).await?;
        let bindings = cluster.bindings_in(Some(namespace)).await?;
        let set = |set: ReplicaSet| Some((set.uid()?, value::owner_uids(&set)));
        let sets = list(&Api::namespaced(client(), namespace), "", set).await?.into_iter().collect();
        let deployment = |found: Deployment| Some(value::deployment(&found));
        let mut owners = list(&Api::namespaced(client(), namespace), "", deployment).await?;
        let stateful_set = |found: StatefulSet| Some(value::stateful_set(&found));
        owners.extend(list(&Api::namespaced(client(), namespace), "", stateful_set).await?);
        let hpa = |found: HorizontalPodAutoscaler| Some(value::hpa(&found));
        let hpas = list(&Api::namespaced(client(), namespace), "", hpa).await?;
        let labels = found.map(|n| n.labels().clone()).unwrap_or_default();
        let mut owners_by_label: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (position, owner) in owners.iter().enumerate() {
            for (label, value) in &owner.template_labels {
                owners_by_label.entry((label.clone(), value.clone())).or_default().insert(position);
            }
        }
        Ok(Self {
            labels,
            bindings: grouped(bindings, |binding| binding.service.clone()),
            sets,
            owners_by_uid: owners.iter().enumerate().map(|(position, owner)| (owner.uid.clone(), position)).collect(),
            owners_by_label,
            owners,
            hpas: grouped(hpas, |hpa| hpa.target.clone()),
        })
    }

    /// Builds the view of one workload from its Service and the selected pods.
    pub fn view(&self, wanted: &ServiceRef, service: Option<Service>, pods: &[core::Pod]) -> WorkloadView {
        let owners: Vec<_> = match &service {
            Some(service) => self.owners(&service.selector, pods).map(|o| o.owner.clone()).collect(),
            None => Vec::new(),
        };
        let targets: BTreeSet<_> = owners.iter().map(|o| format!("{}/{}", o.kind, o.name)).collect();
        WorkloadView {
            service,
            pods: pods.iter().map(value::pod).collect(),
            hpas: targets.iter().filter_map(|target| self.hpas.get(target)).flatten().cloned().collect(),
            owners,
            bindings: self.bindings.get(&wanted.name).cloned().unwrap_or_default(),
            namespace_labels: self.labels.clone(),
        }
    }

    /// Returns the Deployments and StatefulSets that own these pods, or whose template matches the selector. A
    /// workload with 0 replicas owns no pods, and only its template finds it.
    fn owners(&self, selector: &BTreeMap<String, String>, pods: &[core::Pod]) -> impl Iterator<Item = &OwnerObject> {
        let direct: BTreeSet<String> = pods.iter().flat_map(value::owner_uids).collect();
        let above = direct.iter().filter_map(|uid| self.sets.get(uid)).flatten();
        let mut found: BTreeSet<_> = direct.iter().chain(above).filter_map(|uid| self.owners_by_uid.get(uid)).collect();
        // Every selected template has the first label of the selector.
        let first = selector.first_key_value().map(|(label, value)| (label.clone(), value.clone()));
        let labelled = first.and_then(|label| self.owners_by_label.get(&label)).into_iter().flatten();
        found.extend(labelled.filter(|o| value::selects(selector, &self.owners[**o].template_labels)));
        found.into_iter().map(|position| &self.owners[*position])
    }
}

fn grouped<T>(all: Vec<T>, key: impl Fn(&T) -> String) -> BTreeMap<String, Vec<T>> {
    let mut by_key: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for one in all {
        by_key.entry(key(&one)).or_default().push(one);
    }
    by_key
}
