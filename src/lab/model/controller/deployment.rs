//! The Deployment controller. It keeps the requested number of pods of the current template and replaces pods of old
//! templates a few at a time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lab::model::build::platform::NO_PODS;
use crate::lab::model::cluster::{NamespacedName, PodSource};
use crate::lab::model::{PodId, World};
use crate::lab::objects::{Kind, meta_text};

/// The desired state of a Deployment.
struct DeploymentSpec {
    kind: Kind,
    namespace: String,
    name: String,
    replicas: usize,
    template: Value,
    hash: String,
    selector: Value,
    uid: Value,
    generation: Value,
}

impl World {
    pub(super) fn reconcile_deployments(&mut self, cluster: usize, deployments: &BTreeSet<NamespacedName>) {
        for (namespace, name) in deployments {
            for kind in [Kind::Deployment, Kind::StatefulSet] {
                let deployment = self.clusters[cluster].objects.get(kind, namespace, name);
                if let Some(deployment) = deployment.filter(runs_pods) {
                    self.reconcile_deployment(cluster, &DeploymentSpec::read(kind, &deployment), false);
                }
            }
        }
    }

    /// Creates the initial pods of every Deployment, which already serve.
    pub(in crate::lab::model) fn warm_deployments(&mut self, cluster: usize) {
        let objects = &self.clusters[cluster].objects;
        let of =
            |kind| objects.list(kind, None).filter(runs_pods).map(move |object| DeploymentSpec::read(kind, &object));
        let wanted: Vec<DeploymentSpec> = of(Kind::Deployment).chain(of(Kind::StatefulSet)).collect();
        for deployment in &wanted {
            self.reconcile_deployment(cluster, deployment, true);
        }
    }

    fn reconcile_deployment(&mut self, cluster: usize, wanted: &DeploymentSpec, warm: bool) {
        let owner = self.replica_set(cluster, wanted);
        let pods = self.pods_of(cluster, &wanted.namespace, &wanted.name);
        let (new, old): (Vec<PodId>, Vec<PodId>) =
            pods.into_iter().partition(|p| self.pods[p.0 as usize].template == wanted.hash);
        let (surge, spare) = (wanted.replicas.div_ceil(4), wanted.replicas / 4);
        let room = (wanted.replicas + surge).saturating_sub(new.len() + old.len());
        let missing = wanted.replicas.saturating_sub(new.len()).min(room);
        for _ in 0..missing {
            let from = PodSource {
                namespace: &wanted.namespace,
                deployment: &wanted.name,
                hash: &wanted.hash,
                template: &wanted.template,
                owner: owner.clone(),
            };
            self.make_pod(cluster, &from, warm);
        }
        self.end_surplus_pods(new, wanted.replicas);
        self.end_old_pods(cluster, wanted, old, spare);
        self.update_deployment_status(cluster, wanted);
    }

    /// Terminates surplus pods, unready pods first.
    fn end_surplus_pods(&mut self, mut pods: Vec<PodId>, keep: usize) {
        pods.sort_by_key(|p| (!self.pods[p.0 as usize].ready(), std::cmp::Reverse(*p)));
        pods.sort_by_key(|p| !self.pods[p.0 as usize].ready());
        for pod in pods.split_off(keep.min(pods.len())) {
            self.end_pod(pod);
        }
    }

    /// Terminates pods of earlier templates while enough other pods are ready.
    fn end_old_pods(&mut self, cluster: usize, wanted: &DeploymentSpec, old: Vec<PodId>, spare: usize) {
        let ready = self
            .pods_of(cluster, &wanted.namespace, &wanted.name)
            .iter()
            .filter(|p| self.pods[p.0 as usize].ready())
            .count();
        let mut free = ready.saturating_sub(wanted.replicas - spare.min(wanted.replicas));
        for pod in old {
            if !self.pods[pod.0 as usize].ready() {
                self.end_pod(pod);
            } else if free > 0 {
                free -= 1;
                self.end_pod(pod);
            }
        }
    }

    /// Returns the ReplicaSet of the current template, as an owner reference for pods.
    fn replica_set(&mut self, cluster: usize, wanted: &DeploymentSpec) -> Value {
        let now = self.now;
        let objects = &mut self.clusters[cluster].objects;
        let name = format!("{}-{}", wanted.name, wanted.hash);
        let owner = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "name": wanted.name, "uid": wanted.uid, "controller": true,
        });
        let metadata = json!({
            "name": name, "namespace": wanted.namespace, "labels": wanted.template["metadata"]["labels"],
            "ownerReferences": [owner],
        });
        let spec = json!({"replicas": wanted.replicas, "selector": wanted.selector, "template": wanted.template});
        let stored = objects.put(Kind::ReplicaSet, json!({"metadata": metadata, "spec": spec}), now);
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": stored["metadata"]["uid"],
            "controller": true,
        })
    }

    fn update_deployment_status(&mut self, cluster: usize, wanted: &DeploymentSpec) {
        let pods = self.pods_of(cluster, &wanted.namespace, &wanted.name);
        let ready = pods.iter().filter(|p| self.pods[p.0 as usize].ready()).count();
        let updated = pods.iter().filter(|p| self.pods[p.0 as usize].template == wanted.hash).count();
        let status = json!({
            "observedGeneration": wanted.generation, "replicas": pods.len(), "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready, "unavailableReplicas": wanted.replicas.saturating_sub(ready),
        });
        let now = self.now;
        self.clusters[cluster]
            .objects
            .update(wanted.kind, &wanted.namespace, &wanted.name, now, |o| o["status"] = status);
    }
}

/// Whether the lab runs pods of a Deployment.
fn runs_pods(deployment: &Value) -> bool {
    deployment["metadata"]["annotations"][NO_PODS].is_null()
}

impl DeploymentSpec {
    fn read(kind: Kind, object: &Value) -> Self {
        let template = object["spec"]["template"].clone();
        Self {
            kind,
            namespace: meta_text(object, "namespace").to_owned(),
            name: meta_text(object, "name").to_owned(),
            replicas: object["spec"]["replicas"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1).min(1000),
            hash: hash(&template.to_string()),
            template,
            selector: object["spec"]["selector"].clone(),
            uid: object["metadata"]["uid"].clone(),
            generation: object["metadata"]["generation"].clone(),
        }
    }
}

/// Returns a hash of a text, as ten hexadecimal digits.
fn hash(text: &str) -> String {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:010x}", sum & 0xff_ffff_ffff)
}
