//! Simulated clusters: the Kubernetes objects, and the processes of the pods.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::controller::ControllerIndex;
use super::platform::Platform;
use super::pod::{Phase, Pod, PodFaults};
use super::queue::LabEvent;
use super::{PodId, World};
use crate::lab::objects::{Kind, Objects, timestamp};

/// Delay between a change of a pod's process and the moment when the kubelet detects this change.
const KUBELET_DELAY: Duration = Duration::from_secs(5);

/// Namespace and name of an object.
pub(super) type NamespacedName = (String, String);

/// A simulated EKS cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Name of the cluster in the plan.
    pub name: Arc<str>,
    /// Name of the cluster in EKS.
    pub eks: String,
    /// Kubernetes version, such as `1.33`.
    pub version: String,
    pub endpoint: String,
    pub ca: String,
    pub objects: Objects,
    /// The facts that AWS has about the cluster, in addition to its description.
    pub platform: Platform,
    /// The revision of the objects up to which the controllers have reconciled.
    pub reconciled_revision: u64,
    /// Whether a reconciliation of the controllers is scheduled.
    pub reconcile_scheduled: bool,
    pub index: ControllerIndex,
    /// The next time of each CronJob that is scheduled.
    pub cron_ticks: BTreeMap<NamespacedName, jiff::Timestamp>,
    /// Second octet of the IP addresses of pods, `10.NUMBER.x.y`.
    pub number: u8,
    pub addresses: u16,
    /// Simulated behavior of Deployments that their Kubernetes objects do not contain.
    pub deployments: BTreeMap<NamespacedName, DeploymentBehaviour>,
    /// The last result of the binding controller for each TargetGroupBinding.
    pub bindings: BTreeMap<NamespacedName, BindingState>,
    /// EC2 instance ids and IP addresses of the nodes.
    pub nodes: Vec<(String, Ipv4Addr)>,
}

/// How the pods of a Deployment behave.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentBehaviour {
    /// Name of the workload in the plan.
    pub workload: String,
    pub startup: Duration,
    pub pre_stop: Duration,
    /// Number of replicas at the start, which is enough for all traffic.
    pub full_replicas: u32,
    /// Number of replicas that the HPA requests; `None` if it is computed from the cluster's share.
    pub desired_replicas: Option<u32>,
    /// When the HPA began to request fewer replicas than there are.
    pub surplus_since: Option<jiff::Timestamp>,
}

/// The last result of the binding controller for a TargetGroupBinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindingState {
    pub generation: u64,
    pub group: usize,
    pub targets: Vec<(String, u16)>,
}

/// The data of a Deployment from which pods are created.
pub(super) struct PodSource<'a> {
    pub namespace: &'a str,
    pub deployment: &'a str,
    pub hash: &'a str,
    pub template: &'a Value,
    pub owner: Value,
}

impl World {
    /// Creates a pod. With `warm`, the pod serves at once.
    pub(super) fn make_pod(&mut self, cluster: usize, from: &PodSource<'_>, warm: bool) -> PodId {
        let id = PodId(u32::try_from(self.pods.len()).unwrap_or(u32::MAX));
        let key = (from.namespace.to_owned(), from.deployment.to_owned());
        let now = self.now;
        let cluster_state = &mut self.clusters[cluster];
        cluster_state.addresses += 1;
        let [high, low] = (cluster_state.addresses + 255).to_be_bytes();
        let ip = Ipv4Addr::new(10, cluster_state.number, high, low);
        let startup = cluster_state.deployments.get(&key).map_or(Duration::from_secs(10), |b| b.startup);
        let name: Arc<str> =
            format!("{}-{}-{}", from.deployment, from.hash, cluster_state.objects.random_suffix()).into();
        let labels = string_map(&from.template["metadata"]["labels"]);
        let readiness_gates = readiness_gates(&from.template["spec"]["readinessGates"]);
        let node = cluster_state.nodes[usize::from(cluster_state.addresses) % cluster_state.nodes.len()].clone();
        let object = json!({
            "metadata": {
                "name": &*name, "namespace": from.namespace, "labels": from.template["metadata"]["labels"],
                "annotations": from.template["metadata"]["annotations"], "ownerReferences": [from.owner],
            },
            "spec": with_node(&from.template["spec"], &node.0),
            "status": {"phase": "Pending", "podIP": ip.to_string(), "podIPs": [{"ip": ip.to_string()}],
                "hostIP": node.1.to_string(), "conditions": []},
        });
        cluster_state.objects.put(Kind::Pod, object, now);
        let container = &from.template["spec"]["containers"][0];
        let port = container["ports"][0]["containerPort"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(8080);
        let status = from.template["metadata"]["annotations"]["lab.cutover.dev/health-status"].as_str();
        let pod = Pod {
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
            gates: readiness_gates,
            gates_passed: warm,
            health_status: status.and_then(|s| s.parse().ok()).unwrap_or(200),
            faults: PodFaults::default(),
        };
        self.clusters[cluster].index.add_pod(id, &pod);
        self.pods.push(pod);
        self.pod_by_ip.insert(ip, id);
        if warm {
            self.update_pod_status(id);
        } else {
            let delay = startup.mul_f64(0.9 + 0.2 * self.random.f64());
            self.schedule_in(delay, LabEvent::PodStarted(id));
        }
        id
    }

    /// Terminates a pod: its Services drop it at once, and its process serves until the pre-stop time has passed.
    pub(super) fn end_pod(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        let Some(cluster) = pod.cluster else { return };
        if matches!(pod.phase, Phase::Terminating | Phase::Gone) {
            return;
        }
        let running = pod.phase == Phase::Running;
        pod.phase = Phase::Terminating;
        self.clusters[cluster].index.touched.insert(id);
        let key = (pod.namespace.clone(), pod.deployment.clone());
        let delay = self.clusters[cluster].deployments.get(&key).map_or(Duration::from_secs(30), |b| b.pre_stop);
        let (namespace, name, now) = (pod.namespace.clone(), Arc::clone(&pod.name), self.now);
        self.clusters[cluster].objects.update(Kind::Pod, &namespace, &name, now, |o| {
            o["metadata"]["deletionTimestamp"] = timestamp(now);
            o["metadata"]["deletionGracePeriodSeconds"] = delay.as_secs().into();
            o["metadata"]["finalizers"] = json!(["lab.cutover.dev/process"]);
        });
        self.schedule_in(if running { delay } else { Duration::ZERO }, LabEvent::PodGone(id));
    }

    pub(super) fn remove_pod(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        pod.phase = Phase::Gone;
        let Some(cluster) = pod.cluster else { return };
        self.clusters[cluster].index.touched.insert(id);
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

    pub(super) fn start_pod(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        if pod.phase == Phase::Starting {
            pod.phase = Phase::Running;
            self.observe_pod(id);
            self.resolve_servers(id);
        }
    }

    /// Updates whether the kubelet considers the pod serving, and the pod's status.
    pub(super) fn observe_pod(&mut self, id: PodId) {
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

    /// Passes the readiness gates of a pod, because its target is healthy.
    pub(super) fn pass_readiness_gates(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0 as usize];
        if !pod.gates.is_empty() && !pod.gates_passed {
            pod.gates_passed = true;
            self.update_pod_status(id);
        }
    }

    /// Writes the status of a pod into the pod's Kubernetes object.
    fn update_pod_status(&mut self, id: PodId) {
        let pod = &self.pods[id.0 as usize];
        let Some(cluster) = pod.cluster else { return };
        self.clusters[cluster].index.touched.insert(id);
        let status_text = |b: bool| if b { "True" } else { "False" };
        let time = timestamp(self.now);
        let condition =
            |kind: &str, holds: bool| json!({"type": kind, "status": status_text(holds), "lastTransitionTime": time});
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
        let mut container =
            json!({"name": "app", "ready": pod.serving, "restartCount": 0, "state": state, "started": pod.serving});
        let (namespace, name, now) = (pod.namespace.clone(), Arc::clone(&pod.name), self.now);
        self.clusters[cluster].objects.update(Kind::Pod, &namespace, &name, now, |o| {
            o["status"]["phase"] = phase.into();
            o["status"]["conditions"] = conditions.into();
            let image = o["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            (container["image"], container["imageID"]) = (image.into(), image_id(image).into());
            o["status"]["containerStatuses"] = json!([container]);
        });
        self.schedule_controllers(cluster);
    }

    /// Schedules the controllers of a cluster if the objects of this cluster have changed.
    pub(super) fn schedule_controllers(&mut self, cluster: usize) {
        let cluster_state = &mut self.clusters[cluster];
        if !cluster_state.reconcile_scheduled && cluster_state.objects.revision() != cluster_state.reconciled_revision {
            cluster_state.reconcile_scheduled = true;
            let delay = self.latency.controller.0;
            self.schedule_in(delay, LabEvent::Reconcile(cluster));
        }
    }

    /// Returns the pods of a Deployment that are not terminating, oldest first.
    pub(super) fn pods_of(&self, cluster: usize, namespace: &str, deployment: &str) -> Vec<PodId> {
        let all = self.clusters[cluster].index.pods_of(&(namespace.to_owned(), deployment.to_owned())).iter().copied();
        all.filter(|id| matches!(self.pods[id.0 as usize].phase, Phase::Starting | Phase::Running)).collect()
    }
}

/// Returns the reference by digest of an image: equal texts have equal digests.
fn image_id(image: &str) -> String {
    use sha2::{Digest, Sha256};
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    format!("{repository}@sha256:{}", crate::base::text::hex(&Sha256::digest(image.as_bytes())))
}

fn readiness_gates(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|g| g["conditionType"].as_str().map(str::to_owned)).collect()
}

/// Converts a JSON object to a map of its string values.
pub(super) fn string_map(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn with_node(spec: &Value, node: &str) -> Value {
    let mut spec = spec.clone();
    spec["nodeName"] = node.into();
    spec
}
