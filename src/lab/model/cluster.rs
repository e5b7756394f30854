//! Clusters: their objects, and the processes of their pods.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::pod::{Phase, Pod, PodFaults};
use super::queue::LabEvent;
use super::{PodId, World};
use crate::lab::objects::{Kind, Objects, timestamp};

/// Delay between a change of a pod's process and the kubelet's reaction.
const KUBELET_DELAY: Duration = Duration::from_secs(5);

/// Namespace and name.
pub(super) type NamespacedName = (String, String);

/// A cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Name in the plan.
    pub name: Arc<str>,
    /// EKS name.
    pub eks: String,
    /// Kubernetes version, such as `1.33`.
    pub version: String,
    pub endpoint: String,
    pub ca: String,
    pub objects: Objects,
    /// The last revision of the objects that the controllers have acted on.
    pub reconciled_revision: u64,
    /// Whether a reconciliation is scheduled.
    pub reconcile_scheduled: bool,
    /// Second octet of the pods' addresses, `10.NUMBER.x.y`.
    pub number: u8,
    pub addresses: u16,
    /// What the lab knows about Deployments beyond their objects.
    pub deployments: BTreeMap<NamespacedName, DeploymentBehaviour>,
    /// What the binding controller has last written for each binding.
    pub bindings: BTreeMap<NamespacedName, BindingState>,
    /// EC2 instances with their addresses.
    pub nodes: Vec<(String, Ipv4Addr)>,
}

/// How a Deployment's pods behave.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentBehaviour {
    /// The plan's workload.
    pub workload: String,
    pub startup: Duration,
    pub pre_stop: Duration,
    /// Replicas at the start: enough for all traffic.
    pub full_replicas: u32,
    /// Replicas that its HPA wants; `None`: derived from the share.
    pub desired_replicas: Option<u32>,
    /// Since when its HPA wants fewer.
    pub surplus_since: Option<jiff::Timestamp>,
}

/// Last result of the binding controller for a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindingState {
    pub generation: u64,
    pub group: usize,
    pub targets: Vec<(String, u16)>,
}

/// The Deployment's data from which its pods are made.
pub(super) struct PodSource<'a> {
    pub namespace: &'a str,
    pub deployment: &'a str,
    pub hash: &'a str,
    pub template: &'a Value,
    pub owner: Value,
}

impl World {
    /// Creates a pod. `warm`: it serves at once.
    pub(super) fn make_pod(&mut self, cluster: usize, from: &PodSource<'_>, warm: bool) -> PodId {
        let id = PodId(u32::try_from(self.pods.len()).unwrap_or(u32::MAX));
        let place = (from.namespace.to_owned(), from.deployment.to_owned());
        let now = self.now;
        let home = &mut self.clusters[cluster];
        home.addresses += 1;
        let [high, low] = (home.addresses + 255).to_be_bytes();
        let ip = Ipv4Addr::new(10, home.number, high, low);
        let startup = home.deployments.get(&place).map_or(Duration::from_secs(10), |b| b.startup);
        let name: Arc<str> = format!("{}-{}-{}", from.deployment, from.hash, home.objects.suffix()).into();
        let labels = string_map(&from.template["metadata"]["labels"]);
        let gates = gates(&from.template["spec"]["readinessGates"]);
        let node = home.nodes[usize::from(home.addresses) % home.nodes.len()].clone();
        let object = json!({
            "metadata": {
                "name": &*name, "namespace": from.namespace, "labels": from.template["metadata"]["labels"],
                "annotations": from.template["metadata"]["annotations"], "ownerReferences": [from.owner],
            },
            "spec": with_node(&from.template["spec"], &node.0),
            "status": {"phase": "Pending", "podIP": ip.to_string(), "podIPs": [{"ip": ip.to_string()}],
                "hostIP": node.1.to_string(), "conditions": []},
        });
        home.objects.put(Kind::Pod, object, now);
        let container = &from.template["spec"]["containers"][0];
        let port = container["ports"][0]["containerPort"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(8080);
        let status = from.template["metadata"]["annotations"]["lab.cutover.dev/health-status"].as_str();
        self.pods.push(Pod {
            cluster: Some(cluster),
            namespace: from.namespace.to_owned(),
            name,
            deployment: from.deployment.to_owned(),
            template: from.hash.to_owned(),
            labels,
            ip,
            port,
            phase: if warm { Phase::Running } else { Phase::Starting },
            serving: warm,
            gates,
            gates_passed: warm,
            health_status: status.and_then(|s| s.parse().ok()).unwrap_or(200),
            faults: PodFaults::default(),
        });
        self.pod_by_ip.insert(ip, id);
        if warm {
            self.update_pod_status(id);
        } else {
            let delay = startup.mul_f64(0.9 + 0.2 * self.random.f64());
            self.schedule_in(delay, LabEvent::PodStarted(id));
        }
        id
    }

    /// Terminates a pod: it leaves its Services at once and serves until its pre-stop time is over.
    pub(super) fn end_pod(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        let Some(cluster) = pod.cluster else { return };
        if matches!(pod.phase, Phase::Terminating | Phase::Gone) {
            return;
        }
        let running = pod.phase == Phase::Running;
        pod.phase = Phase::Terminating;
        let place = (pod.namespace.clone(), pod.deployment.clone());
        let delay = self.clusters[cluster].deployments.get(&place).map_or(Duration::from_secs(30), |b| b.pre_stop);
        let (namespace, name, now) = (pod.namespace.clone(), Arc::clone(&pod.name), self.now);
        self.clusters[cluster].objects.update(Kind::Pod, &namespace, &name, now, |o| {
            o["metadata"]["deletionTimestamp"] = timestamp(now);
            o["metadata"]["deletionGracePeriodSeconds"] = delay.as_secs().into();
            o["metadata"]["finalizers"] = json!(["lab.cutover.dev/process"]);
        });
        self.schedule_in(if running { delay } else { Duration::ZERO }, LabEvent::PodGone(id));
    }

    pub(super) fn pod_gone(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        pod.phase = Phase::Gone;
        let Some(cluster) = pod.cluster else { return };
        let (namespace, name, now) = (pod.namespace.clone(), Arc::clone(&pod.name), self.now);
        let objects = &mut self.clusters[cluster].objects;
        objects.update(Kind::Pod, &namespace, &name, now, |o| {
            if let Some(meta) = o["metadata"].as_object_mut() {
                meta.remove("finalizers");
            }
        });
        objects.delete(Kind::Pod, &namespace, &name, now);
        self.schedule_controllers(cluster);
    }

    pub(super) fn pod_started(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        if pod.phase == Phase::Starting {
            pod.phase = Phase::Running;
            self.kubelet_observes(id);
        }
    }

    /// The kubelet checks whether a pod serves.
    pub(super) fn kubelet_observes(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        let serving = pod.phase == Phase::Running && !pod.faults.dead;
        if pod.serving != serving {
            pod.serving = serving;
            self.update_pod_status(id);
        }
    }

    /// Schedules the kubelet's next check of a pod.
    pub(super) fn schedule_pod_observation(&mut self, id: PodId) {
        self.schedule_in(KUBELET_DELAY, LabEvent::PodObserved(id));
    }

    /// Passes a pod's readiness gates, because its target is healthy.
    pub(super) fn pass_readiness_gates(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        if !pod.gates.is_empty() && !pod.gates_passed {
            pod.gates_passed = true;
            self.update_pod_status(id);
        }
    }

    /// Writes a pod's status into its object.
    fn update_pod_status(&mut self, id: PodId) {
        let pod = &self.pods[id.0 as usize];
        let Some(cluster) = pod.cluster else { return };
        let word = |b: bool| if b { "True" } else { "False" };
        let time = timestamp(self.now);
        let condition =
            |kind: &str, holds: bool| json!({"type": kind, "status": word(holds), "lastTransitionTime": time});
        let mut conditions = vec![
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", pod.serving),
            condition("Ready", pod.ready()),
        ];
        conditions.extend(pod.gates.iter().map(|g| condition(g, pod.gates_passed)));
        let phase = if pod.phase == Phase::Starting { "Pending" } else { "Running" };
        let state = if pod.serving {
            json!({"running": {"startedAt": time}})
        } else {
            json!({"waiting": {"reason": "CrashLoopBackOff"}})
        };
        let containers =
            json!([{"name": "app", "ready": pod.serving, "restartCount": 0, "state": state, "started": pod.serving}]);
        let (namespace, name, now) = (pod.namespace.clone(), Arc::clone(&pod.name), self.now);
        self.clusters[cluster].objects.update(Kind::Pod, &namespace, &name, now, |o| {
            o["status"]["phase"] = phase.into();
            o["status"]["conditions"] = conditions.into();
            o["status"]["containerStatuses"] = containers;
        });
        self.schedule_controllers(cluster);
    }

    /// Schedules a cluster's controllers, if its objects have changed.
    pub(super) fn schedule_controllers(&mut self, cluster: usize) {
        let home = &mut self.clusters[cluster];
        if !home.reconcile_scheduled && home.objects.revision() != home.reconciled_revision {
            home.reconcile_scheduled = true;
            let delay = self.latency.controller.0;
            self.schedule_in(delay, LabEvent::Reconcile(cluster));
        }
    }

    /// Returns the pods of a Deployment that are not terminating, oldest first.
    pub(super) fn pods_of(&self, cluster: usize, namespace: &str, deployment: &str) -> Vec<PodId> {
        let of = |p: &Pod| p.cluster == Some(cluster) && p.namespace == namespace && p.deployment == deployment;
        let numbered = (0..).zip(&self.pods);
        numbered
            .filter(|(_, p)| of(p) && matches!(p.phase, Phase::Starting | Phase::Running))
            .map(|(id, _)| PodId(id))
            .collect()
    }
}

fn gates(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|g| g["conditionType"].as_str().map(str::to_owned)).collect()
}

/// Reads a JSON object of strings.
pub(super) fn string_map(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn with_node(spec: &Value, node: &str) -> Value {
    let mut spec = spec.clone();
    spec["nodeName"] = node.into();
    spec
}
