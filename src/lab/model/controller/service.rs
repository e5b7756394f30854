//! The Service controller. It writes an EndpointSlice with the pods that match the selector.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lab::model::cluster::{NamespacedName, string_map};
use crate::lab::model::pod::Phase;
use crate::lab::model::{PodId, World};
use crate::lab::objects::{Kind, meta_text};

impl World {
    pub(super) fn reconcile_services(&mut self, cluster: usize, services: &BTreeSet<NamespacedName>) {
        for (namespace, name) in services {
            let Some(service) = self.clusters[cluster].objects.get(Kind::Service, namespace, name) else { continue };
            let pods = self.selected_pods(cluster, &service);
            let slice = self.build_endpoint_slice(&service, &pods);
            let now = self.now;
            self.clusters[cluster].objects.put(Kind::EndpointSlice, slice, now);
        }
    }

    /// Returns the pods that match the selector of a Service, including terminating pods.
    pub(super) fn selected_pods(&self, cluster: usize, service: &Value) -> Vec<PodId> {
        let selector = string_map(&service["spec"]["selector"]);
        let namespace = meta_text(service, "namespace");
        let Some((label, value)) = selector.first_key_value() else { return Vec::new() };
        let pods = self.clusters[cluster].index.labelled_pods(namespace, label, value).iter().copied();
        let is_selected = |id: &PodId| {
            let pod = &self.pods[id.0 as usize];
            pod.phase != Phase::Gone && selector.iter().all(|(k, v)| pod.labels.get(k) == Some(v))
        };
        pods.filter(is_selected).collect()
    }

    fn build_endpoint_slice(&self, service: &Value, pods: &[PodId]) -> Value {
        let name = meta_text(service, "name");
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|id| {
                let pod = &self.pods[id.0 as usize];
                let terminating = pod.phase == Phase::Terminating;
                json!({
                    "addresses": [pod.ip.to_string()],
                    "conditions": {"ready": pod.ready(), "serving": pod.serving, "terminating": terminating},
                    "targetRef": {"kind": "Pod", "name": &*pod.name, "namespace": pod.namespace},
                })
            })
            .collect();
        let port = pods.first().map_or(8080, |p| self.pods[p.0 as usize].port);
        let ports: Vec<Value> = service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| json!({"name": p["name"], "port": port, "protocol": "TCP"}))
            .collect();
        let owner = json!({
            "apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"], "controller": true,
        });
        json!({
            "metadata": {
                "name": format!("{name}-1"), "namespace": meta_text(service, "namespace"),
                "labels": {"kubernetes.io/service-name": name}, "ownerReferences": [owner],
            },
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
        })
    }
}
