//! The faults `differ`: what each changes in the objects of a cluster, and how it is undone.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::build::platform::volume;
use super::cluster::NamespacedName;
use crate::lab::objects::{Kind, Objects};
use crate::lab::scenario::difference::{Differ, Difference};

/// An object before a fault changed it; `None`: it did not exist.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    cluster: usize,
    kind: Kind,
    namespace: String,
    name: String,
    before: Option<Value>,
}

/// A change of an object.
struct Edit {
    kind: Kind,
    namespace: String,
    name: String,
    change: Change,
}

enum Change {
    /// Sets the value at a JSON pointer, which is created.
    Set(&'static str, Value),
    Delete,
    Create(Value),
}

impl World {
    /// Changes the objects of a cluster. Returns how they were before.
    pub(super) fn differ(&mut self, differ: &Differ) -> Vec<Changed> {
        let mut changed = Vec::new();
        let places = self.deployments(&differ.cluster, differ.workload.as_deref());
        for (cluster, deployment) in places {
            let other = self.other_cluster(cluster);
            for edit in edits(differ.rule, &deployment, &other, &self.clusters[cluster].objects) {
                changed.push(self.edit(cluster, edit));
            }
            self.schedule_controllers(cluster);
        }
        changed
    }

    /// Returns the name of the cluster with which a cluster is compared.
    fn other_cluster(&self, cluster: usize) -> String {
        let strategy = &self.plan.strategy;
        if *self.clusters[cluster].name == *strategy.to { strategy.from.clone() } else { strategy.to.clone() }
    }

    fn edit(&mut self, cluster: usize, Edit { kind, namespace, name, change }: Edit) -> Changed {
        let now = self.now;
        let objects = &mut self.clusters[cluster].objects;
        let before = objects.get(kind, &namespace, &name);
        match change {
            Change::Set(path, value) => {
                objects.update(kind, &namespace, &name, now, |object| set(object, path, value));
            }
            Change::Delete => drop(objects.delete(kind, &namespace, &name, now)),
            Change::Create(mut object) => {
                object["metadata"]["name"] = name.clone().into();
                if !namespace.is_empty() {
                    object["metadata"]["namespace"] = namespace.clone().into();
                }
                objects.without_randomness(|objects| drop(objects.put(kind, object, now)));
            }
        }
        Changed { cluster, kind, namespace, name, before }
    }

    /// Restores the objects that the faults changed in a cluster, or in all clusters.
    pub(super) fn restore_differences(&mut self, only: Option<usize>) {
        for (index, changed) in std::mem::take(&mut self.faults.changed) {
            let here = |changed: &Changed| only.is_none_or(|only| only == changed.cluster);
            let (ended, rest): (Vec<_>, Vec<_>) = changed.into_iter().partition(here);
            self.restore_objects(ended);
            self.faults.changed.insert(index, rest);
        }
    }

    /// Restores objects that a fault changed, without their status.
    pub(super) fn restore_objects(&mut self, changed: Vec<Changed>) {
        let now = self.now;
        for Changed { cluster, kind, namespace, name, before } in changed.into_iter().rev() {
            restore(&mut self.clusters[cluster].objects, (kind, &namespace, &name), before, now);
            self.schedule_controllers(cluster);
        }
    }
}

fn restore(objects: &mut Objects, (kind, namespace, name): (Kind, &str, &str), before: Option<Value>, now: Timestamp) {
    match before {
        None => drop(objects.delete(kind, namespace, name, now)),
        Some(before) if objects.has(kind, namespace, name) => {
            objects.update(kind, namespace, name, now, |object| {
                let status =
                    if kind == Kind::Job || kind == Kind::Node { Value::Null } else { object["status"].take() };
                *object = before;
                if !status.is_null() {
                    object["status"] = status;
                }
            });
        }
        Some(before) => objects.without_randomness(|objects| drop(objects.put(kind, before, now))),
    }
}

/// Sets the value at a JSON pointer. Missing objects on the way are created, missing items of lists are not.
fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for part in path.split('/').skip(1) {
        let is_object = place.is_object() || place.is_null();
        place = match (part.parse::<usize>(), is_object) {
            (Err(_), true) => &mut place[part],
            (Ok(index), false) if place.get(index).is_some() => &mut place[index],
            _ => return,
        };
    }
    *place = value;
}

/// Returns the changes of a difference, for a workload.
fn edits(rule: Difference, (namespace, name): &NamespacedName, other: &str, objects: &Objects) -> Vec<Edit> {
    let edit = |kind: Kind, namespace: &str, name: &str, change: Change| {
        vec![Edit { kind, namespace: namespace.to_owned(), name: name.to_owned(), change }]
    };
    let own = |kind: Kind, name: &str, change: Change| edit(kind, namespace, name, change);
    let of_cluster = |kind: Kind, name: &str, change: Change| edit(kind, "", name, change);
    let pods = |path: &'static str, value: Value| own(Kind::Deployment, name, Change::Set(path, value));
    let nodes = |path: &'static str, value: Value| {
        let names =
            objects.list(Kind::Node, None).filter_map(|node| Some(node["metadata"]["name"].as_str()?.to_owned()));
        let of = |node: String| edit(Kind::Node, "", &node, Change::Set(path, value.clone()));
        names.flat_map(of).collect::<Vec<_>>()
    };
    let system = |name: &str, image: &str| {
        let image = format!("registry.example.com/{image}");
        edit(Kind::Deployment, "kube-system", name, Change::Set("/spec/template/spec/containers/0/image", image.into()))
    };
    match rule {
        Difference::Kubelet => nodes("/status/nodeInfo/kubeletVersion", "v1.20.0".into()),
        Difference::Architecture => nodes("/status/nodeInfo/architecture", "arm64".into()),
        Difference::AddonMissing => edit(Kind::Deployment, "kube-system", "coredns", Change::Delete),
        Difference::AddonVersion => system("coredns", "coredns:v1.10.1"),
        Difference::ControllerVersion => system("aws-load-balancer-controller", "aws-load-balancer-controller:v2.4.0"),
        Difference::Mesh => {
            of_cluster(Kind::Namespace, namespace, Change::Set("/metadata/labels/istio-injection", "enabled".into()))
        }
        Difference::Webhook => of_cluster(
            Kind::ValidatingWebhookConfiguration,
            "policy",
            Change::Create(json!({"metadata": {}, "webhooks": []})),
        ),
        Difference::Image => {
            pods("/spec/template/spec/containers/0/image", format!("registry.example.com/{name}:2").into())
        }
        Difference::Replicas => {
            let now = objects.get(Kind::Deployment, namespace, name).map(|d| d["spec"]["replicas"].as_u64());
            pods("/spec/replicas", (now.flatten().unwrap_or(1) + 1).into())
        }
        Difference::Resources => pods("/spec/template/spec/containers/0/resources/requests/cpu", "500m".into()),
        Difference::Probes => pods(
            "/spec/template/spec/containers/0/readinessProbe",
            json!({"httpGet": {"path": "/other", "port": 8080}}),
        ),
        Difference::Environment => pods("/spec/template/spec/containers/0/env/0/value", "test".into()),
        Difference::Arguments => pods("/spec/template/spec/containers/0/args", json!(["--debug"])),
        Difference::Volumes => pods("/spec/template/spec/containers/0/volumeMounts/0/mountPath", "/other".into()),
        Difference::SecurityContext => {
            pods("/spec/template/spec/containers/0/securityContext", json!({"runAsNonRoot": true}))
        }
        Difference::Priority => pods("/spec/template/spec/priorityClassName", "system-node-critical".into()),
        Difference::Placement => pods("/spec/template/spec/nodeSelector", json!({"disk": "fast"})),
        Difference::DisruptionBudget => own(Kind::PodDisruptionBudget, name, Change::Delete),
        Difference::Service => own(Kind::Service, name, Change::Set("/spec/sessionAffinity", "ClientIP".into())),
        Difference::NetworkPolicy => own(Kind::NetworkPolicy, name, Change::Delete),
        Difference::Config => {
            own(Kind::ConfigMap, &format!("{name}-settings"), Change::Set("/data/limit", "20".into()))
        }
        Difference::ConfigMissing => own(Kind::ConfigMap, &format!("{name}-settings"), Change::Delete),
        Difference::StorageClass => of_cluster(Kind::StorageClass, "gp3", Change::Delete),
        Difference::Volume => of_cluster(
            Kind::PersistentVolume,
            &format!("{namespace}-{name}-cache"),
            Change::Set("/spec/csi/volumeHandle", volume(other, namespace, name).into()),
        ),
        Difference::IngressClass => of_cluster(Kind::IngressClass, "alb", Change::Delete),
        Difference::CustomResource => {
            of_cluster(Kind::CustomResourceDefinition, "ingressclassparams.elbv2.k8s.aws", Change::Delete)
        }
        Difference::ServiceAccount => own(Kind::ServiceAccount, name, Change::Delete),
        Difference::PriorityClass => of_cluster(Kind::PriorityClass, "high", Change::Delete),
        Difference::PendingPod => {
            let condition = json!({"type": "PodScheduled", "status": "False", "message": "no node has enough memory"});
            let pod = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": []},
                "status": {"phase": "Pending", "conditions": [condition]}});
            own(Kind::Pod, &format!("{name}-pending"), Change::Create(pod))
        }
        Difference::Limits => own(
            Kind::LimitRange,
            "limits",
            Change::Create(json!({"metadata": {}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "4"}}]}})),
        ),
        Difference::CronJob => own(Kind::CronJob, "billing", Change::Set("/spec/suspend", false.into())),
        Difference::Job => own(Kind::Job, "import", Change::Set("/status/active", 1.into())),
        Difference::StatefulSet => own(Kind::StatefulSet, "reports", Change::Set("/spec/replicas", 1.into())),
        Difference::Worker => own(Kind::Deployment, "mailer", Change::Set("/spec/replicas", 1.into())),
        Difference::Lease => own(Kind::Lease, "mailer-leader", Change::Set("/spec/holderIdentity", "mailer-2".into())),
    }
}
