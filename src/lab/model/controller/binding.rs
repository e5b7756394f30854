//! The load balancer controller. It registers the endpoints of bound Services as targets and deregisters all other
//! targets.
//!
//! Like the real controller, it acts only when the binding or its endpoints have changed. It does not detect changes
//! that the controller of another cluster made to the group.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::model::cluster::{BindingState, NamespacedName};
use crate::lab::model::group::LabTargetState;
use crate::lab::model::queue::LabEvent;
use crate::lab::model::{Caller, PodId, World};
use crate::lab::objects::{Kind, meta_text};

/// The tag with the name of the cluster whose Auto Mode may register targets in a group.
pub(in crate::lab::model) const AUTO_MODE_TAG: &str = "eks:eks-cluster-name";
const FINALIZER: &str = "elbv2.k8s.aws/resources";

impl World {
    pub(super) fn reconcile_bindings(&mut self, cluster: usize, mut bindings: BTreeSet<NamespacedName>) {
        // The port of a node leads to another pod as soon as the pods change.
        let has_nodes = |state: &BindingState| self.groups[state.group].target_type == "instance";
        let of_nodes = self.clusters[cluster].bindings.iter().filter(|(_, state)| has_nodes(state));
        bindings.extend(of_nodes.map(|(key, _)| key.clone()));
        for (namespace, name) in &bindings {
            let found = self.clusters[cluster].objects.get(Kind::TargetGroupBinding, namespace, name);
            let Some(binding) = found else { continue };
            if meta_text(&binding, "deletionTimestamp").is_empty() {
                self.bind(cluster, &binding);
            } else {
                self.unbind(cluster, &binding);
            }
        }
    }

    fn bind(&mut self, cluster: usize, binding: &Value) {
        let key = (meta_text(binding, "namespace").to_owned(), meta_text(binding, "name").to_owned());
        self.add_finalizer(cluster, binding);
        let Some(group) = self.group_of(binding) else { return };
        if !self.may_register(cluster, group) {
            // AWS refuses the call until someone adds the tag.
            self.retry_later(cluster, key);
            return;
        }
        let wanted = self.targets_to_register(cluster, binding, group);
        let targets: Vec<(String, u16)> = wanted.iter().map(|(id, port, _)| (id.clone(), *port)).collect();
        let generation = binding["metadata"]["generation"].as_u64().unwrap_or(1);
        let desired_state = BindingState { generation, group, targets };
        let before = self.clusters[cluster].bindings.get(&key).cloned();
        if before.as_ref() == Some(&desired_state) {
            if self.groups[group].target_type == "instance" {
                self.update_node_targets(group, &wanted);
            }
            return;
        }
        if !self.register_all(group, &wanted)
            || !self.deregister_others(group, &desired_state, binding, before.as_ref())
        {
            // The group stays incomplete until the retry.
            self.retry_later(cluster, key);
            return;
        }
        let now = self.now;
        self.clusters[cluster].objects.update(Kind::TargetGroupBinding, &key.0, &key.1, now, |o| {
            o["status"]["observedGeneration"] = generation.into();
        });
        self.clusters[cluster].bindings.insert(key, desired_state);
    }

    /// Whether the controller of a cluster may register targets in a group. By its managed policy, EKS Auto Mode needs the
    /// tag with the cluster's name.
    fn may_register(&self, cluster: usize, group: usize) -> bool {
        let found = &self.clusters[cluster];
        !found.objects.auto_mode() || self.groups[group].tags.get(AUTO_MODE_TAG) == Some(&found.eks)
    }

    /// Maps the port of each node to a pod that serves now.
    fn update_node_targets(&mut self, group: usize, wanted: &[(String, u16, Option<PodId>)]) {
        for (id, port, pod) in wanted {
            if let Some(target) = self.groups[group].targets.get_mut(&(id.as_str().into(), *port)) {
                target.pod = *pod;
            }
        }
        self.groups[group].routable = None;
    }

    fn register_all(&mut self, group: usize, wanted: &[(String, u16, Option<PodId>)]) -> bool {
        let registered = |id: &str, port: u16, world: &Self| {
            let target = world.groups[group].targets.get(&(id.into(), port));
            target.is_some_and(|t| !matches!(t.state, LabTargetState::Draining(_)))
        };
        let missing: Vec<_> = wanted.iter().filter(|(id, port, _)| !registered(id, *port, self)).cloned().collect();
        for batch in missing.chunks(200) {
            if !self.controller_call("RegisterTargets") {
                return false;
            }
            for (id, port, pod) in batch {
                self.register(group, id, *port, *pod);
            }
        }
        true
    }

    /// Without `multiClusterTargetGroup`, deregisters all other targets of the group; with `multiClusterTargetGroup`,
    /// only those that this binding registered.
    fn deregister_others(
        &mut self,
        group: usize,
        desired_state: &BindingState,
        binding: &Value,
        before: Option<&BindingState>,
    ) -> bool {
        let shared = binding["spec"]["multiClusterTargetGroup"] == true;
        let registered_before = |key: &(String, u16)| before.is_some_and(|b| b.targets.contains(key));
        let present =
            self.groups[group].targets.iter().filter(|(_, t)| !matches!(t.state, LabTargetState::Draining(_)));
        let keys = present.map(|((id, port), _)| (id.to_string(), *port));
        let surplus: Vec<_> =
            keys.filter(|k| !desired_state.targets.contains(k) && (!shared || registered_before(k))).collect();
        for batch in surplus.chunks(200) {
            if !self.controller_call("DeregisterTargets") {
                return false;
            }
            for (id, port) in batch {
                self.deregister(group, id, *port);
            }
        }
        true
    }

    /// Handles the deletion of a binding: deregisters all targets of its group, also those of another cluster.
    fn unbind(&mut self, cluster: usize, binding: &Value) {
        let key = (meta_text(binding, "namespace").to_owned(), meta_text(binding, "name").to_owned());
        if let Some(group) = self.group_of(binding) {
            let before = self.clusters[cluster].bindings.get(&key).cloned();
            let none = BindingState { generation: 0, group, targets: Vec::new() };
            if !self.deregister_others(group, &none, binding, before.as_ref()) {
                self.retry_later(cluster, key);
                return;
            }
        }
        self.clusters[cluster].bindings.remove(&key);
        let now = self.now;
        self.clusters[cluster].objects.update(Kind::TargetGroupBinding, &key.0, &key.1, now, |o| {
            if let Some(list) = o["metadata"]["finalizers"].as_array_mut() {
                list.retain(|f| f != FINALIZER);
            }
        });
    }

    /// Schedules a retry of a binding, because AWS throttled or refused a call of the controller.
    fn retry_later(&mut self, cluster: usize, binding: NamespacedName) {
        self.clusters[cluster].index.retried_bindings.insert(binding);
        if !std::mem::replace(&mut self.clusters[cluster].reconcile_scheduled, true) {
            self.schedule_in(Duration::from_secs(2), LabEvent::Reconcile(cluster));
        }
    }

    fn add_finalizer(&mut self, cluster: usize, binding: &Value) {
        if binding["metadata"]["finalizers"].as_array().is_some_and(|l| l.iter().any(|f| f == FINALIZER)) {
            return;
        }
        let now = self.now;
        self.clusters[cluster].objects.update(
            Kind::TargetGroupBinding,
            meta_text(binding, "namespace"),
            meta_text(binding, "name"),
            now,
            |o| match o["metadata"]["finalizers"].as_array_mut() {
                Some(list) => list.push(FINALIZER.into()),
                None => o["metadata"]["finalizers"] = json!([FINALIZER]),
            },
        );
    }

    fn group_of(&self, binding: &Value) -> Option<usize> {
        let spec = &binding["spec"];
        if let Some(arn) = spec["targetGroupARN"].as_str().filter(|a| !a.is_empty()) {
            return self.group_index.get(arn).copied();
        }
        let name = spec["targetGroupName"].as_str()?;
        self.groups.iter().position(|g| g.name == name)
    }

    /// Returns the targets to register: the IP addresses of pods that are ready (or wait only for their readiness
    /// gates), or the nodes. Empty if the Service or its port does not exist.
    fn targets_to_register(&self, cluster: usize, binding: &Value, group: usize) -> Vec<(String, u16, Option<PodId>)> {
        let reference = &binding["spec"]["serviceRef"];
        let cluster_state = &self.clusters[cluster];
        let service = cluster_state.objects.get(
            Kind::Service,
            meta_text(binding, "namespace"),
            reference["name"].as_str().unwrap_or_default(),
        );
        let Some(service) = service else { return Vec::new() };
        let Some(port) = find_port(&service, &reference["port"]) else { return Vec::new() };
        let waiting = |p: &crate::lab::model::pod::Pod| p.serving && !p.gates.is_empty();
        let mut pods = self.selected_pods(cluster, &service);
        pods.retain(|id| {
            let pod = &self.pods[id.0 as usize];
            pod.ready() || (waiting(pod) && pod.phase == crate::lab::model::pod::Phase::Running)
        });
        if self.groups[group].target_type == "instance" {
            let node_port = port["nodePort"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(30080);
            let numbered = cluster_state.nodes.iter().enumerate();
            return numbered
                .map(|(n, (node, _))| (node.clone(), node_port, pods.get(n % pods.len().max(1)).copied()))
                .collect();
        }
        let pod_endpoint = |id: &PodId| {
            let pod = &self.pods[id.0 as usize];
            let port = port["targetPort"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(pod.port);
            (pod.ip.to_string(), port, Some(*id))
        };
        pods.iter().map(pod_endpoint).collect()
    }

    /// Makes an AWS call of the controller, which takes a token from the account's bucket. Returns `false` if the call
    /// is throttled.
    fn controller_call(&mut self, operation: &str) -> bool {
        let taken = self.buckets.register.take(self.now, 1.0);
        self.log("elasticloadbalancing", operation, true, Caller::Controller, if taken { "ok" } else { "Throttling" });
        taken
    }
}

fn find_port<'a>(service: &'a Value, wanted: &Value) -> Option<&'a Value> {
    let ports = service["spec"]["ports"].as_array()?;
    ports.iter().find(|p| {
        p["port"] == *wanted
            || p["name"] == *wanted
            || wanted.as_str().is_some_and(|w| w.parse() == Ok(p["port"].as_u64().unwrap_or(0)))
    })
}
