//! Finds the objects that a change concerns, so that the controllers of a large cluster examine only these.
//!
//! An index may name objects that a change no longer concerns, because examining an object unnecessarily changes
//! nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::lab::model::PodId;
use crate::lab::model::cluster::{NamespacedName, string_map};
use crate::lab::model::pod::Pod;
use crate::lab::objects::{Kind, ObjectKey, Objects};

/// Namespace, label and value.
type Labelled = (String, String, String);

/// The relations between the objects of one cluster.
#[derive(Debug, Clone, Default)]
pub(in crate::lab::model) struct ControllerIndex {
    /// The pods that changed since the last reconciliation.
    pub touched: BTreeSet<PodId>,
    /// The bindings whose reconciliation failed.
    pub retried_bindings: BTreeSet<NamespacedName>,
    pods_by_name: HashMap<(String, Arc<str>), PodId>,
    pods_by_deployment: HashMap<NamespacedName, Vec<PodId>>,
    pods_by_label: HashMap<Labelled, Vec<PodId>>,
    /// The names of the Services by one label of the selector.
    services: HashMap<Labelled, BTreeSet<String>>,
    /// The names of the bindings by Service.
    bindings: HashMap<NamespacedName, BTreeSet<String>>,
}

impl ControllerIndex {
    /// Adds a new pod.
    pub fn add_pod(&mut self, id: PodId, pod: &Pod) {
        self.touched.insert(id);
        self.pods_by_name.insert((pod.namespace.clone(), Arc::clone(&pod.name)), id);
        self.pods_by_deployment.entry((pod.namespace.clone(), pod.deployment.clone())).or_default().push(id);
        for (label, value) in &pod.labels {
            self.pods_by_label.entry((pod.namespace.clone(), label.clone(), value.clone())).or_default().push(id);
        }
    }

    /// Returns the pods that a Deployment ever had, oldest first.
    pub fn pods_of(&self, deployment: &NamespacedName) -> &[PodId] {
        self.pods_by_deployment.get(deployment).map_or(&[], Vec::as_slice)
    }

    /// Returns the pods that ever had a label, oldest first.
    pub fn labelled_pods(&self, namespace: &str, label: &str, value: &str) -> &[PodId] {
        let key = (namespace.to_owned(), label.to_owned(), value.to_owned());
        self.pods_by_label.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Returns the Services that may select a pod.
    pub fn services_of(&self, pod: &Pod) -> Vec<NamespacedName> {
        let label = |(label, value): (&String, &String)| (pod.namespace.clone(), label.clone(), value.clone());
        let names = pod.labels.iter().map(label).filter_map(|key| self.services.get(&key)).flatten();
        names.map(|name| (pod.namespace.clone(), name.clone())).collect()
    }

    /// Returns the bindings that may bind a Service.
    pub fn bindings_of(&self, service: &NamespacedName) -> Vec<NamespacedName> {
        let names = self.bindings.get(service).into_iter().flatten();
        names.map(|name| (service.0.clone(), name.clone())).collect()
    }

    /// Updates the index for changed objects.
    pub fn note_changes(&mut self, objects: &Objects, changed: &BTreeSet<ObjectKey>) {
        for (kind, namespace, name) in changed {
            match kind {
                Kind::Pod => self.touched.extend(self.pods_by_name.get(&(namespace.clone(), name.as_str().into()))),
                Kind::Service => {
                    let service = objects.get(*kind, namespace, name);
                    let selector = service.as_ref().map(|s| string_map(&s["spec"]["selector"])).unwrap_or_default();
                    if let Some((label, value)) = selector.into_iter().next() {
                        self.services.entry((namespace.clone(), label, value)).or_default().insert(name.clone());
                    }
                }
                Kind::TargetGroupBinding => {
                    let binding = objects.get(*kind, namespace, name).unwrap_or(Value::Null);
                    let service = binding["spec"]["serviceRef"]["name"].as_str().unwrap_or_default().to_owned();
                    self.bindings.entry((namespace.clone(), service)).or_default().insert(name.clone());
                }
                _ => {}
            }
        }
    }
}
