//! Applies the faults `differ` to a cluster, and undoes them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::build::platform::volume;
use super::cluster::NamespacedName;
use super::platform::Platform;
use crate::lab::objects::{Kind, Objects};
use crate::lab::scenario::difference::{Differ, Difference};
use crate::lab::wire::kube::REFUSES;

/// The state of a part of a cluster before a fault changed it.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    cluster: usize,
    before: Before,
}

#[derive(Debug, Clone)]
enum Before {
    /// An object; `None` if it did not exist.
    Object {
        kind: Kind,
        namespace: String,
        name: String,
        value: Option<Value>,
    },
    Version(String),
    Platform(Box<Platform>),
}

/// A change in the cluster of the fault, or in the cluster with which it is compared.
struct Edit {
    in_other: bool,
    change: EditKind,
}

enum EditKind {
    Object {
        kind: Kind,
        namespace: String,
        name: String,
        change: ObjectChange,
    },
    /// Makes the API server newer by two minor versions.
    SkipVersion,
    /// Changes the facts that AWS has about the cluster.
    Platform(Box<dyn FnOnce(&mut Platform)>),
}

enum ObjectChange {
    /// Sets the value at a JSON pointer, which is created.
    Set(&'static str, Value),
    Delete,
    Create(Value),
}

impl World {
    /// Makes a cluster differ from the cluster with which it is compared. Returns the earlier state of everything that
    /// was changed.
    pub(super) fn differ(&mut self, differ: &Differ) -> Vec<Changed> {
        let mut changed = Vec::new();
        let places = self.deployments(&differ.cluster, differ.workload.as_deref());
        for (cluster, deployment) in places {
            let other = self.other_cluster(cluster);
            let name = self.clusters[other].name.to_string();
            for Edit { in_other, change } in edits(differ.rule, &deployment, &name, &self.clusters[cluster].objects) {
                changed.push(self.edit(if in_other { other } else { cluster }, change));
            }
            self.schedule_controllers(cluster);
            self.schedule_controllers(other);
        }
        changed
    }

    /// Returns the cluster with which a cluster is compared.
    fn other_cluster(&self, cluster: usize) -> usize {
        let strategy = &self.plan.strategy;
        let other = if *self.clusters[cluster].name == *strategy.to { &strategy.from } else { &strategy.to };
        self.clusters.iter().position(|cluster| *cluster.name == **other).unwrap_or(cluster)
    }

    fn edit(&mut self, cluster: usize, change: EditKind) -> Changed {
        let now = self.now;
        let edited = &mut self.clusters[cluster];
        let before = match change {
            EditKind::Object { kind, namespace, name, change } => {
                let value = edited.objects.get(kind, &namespace, &name);
                change_object(&mut edited.objects, (kind, &namespace, &name), change, now);
                Before::Object { kind, namespace, name, value }
            }
            EditKind::SkipVersion => {
                let minor: u32 = edited.version.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or_default();
                Before::Version(std::mem::replace(&mut edited.version, format!("1.{}", minor + 2)))
            }
            EditKind::Platform(change) => {
                let before = Box::new(edited.platform.clone());
                change(&mut edited.platform);
                Before::Platform(before)
            }
        };
        Changed { cluster, before }
    }

    /// Undoes the changes of the faults in a cluster, or in all clusters.
    pub(super) fn restore_differences(&mut self, only: Option<usize>) {
        for (index, changed) in std::mem::take(&mut self.faults.changed) {
            let here = |changed: &Changed| only.is_none_or(|only| only == changed.cluster);
            let (ended, rest): (Vec<_>, Vec<_>) = changed.into_iter().partition(here);
            self.restore(ended);
            self.faults.changed.insert(index, rest);
        }
    }

    /// Undoes changes of a fault, except those of an object's status.
    pub(super) fn restore(&mut self, changed: Vec<Changed>) {
        let now = self.now;
        for Changed { cluster, before } in changed.into_iter().rev() {
            let edited = &mut self.clusters[cluster];
            match before {
                Before::Object { kind, namespace, name, value } => {
                    restore_object(&mut edited.objects, (kind, &namespace, &name), value, now);
                }
                Before::Version(version) => edited.version = version,
                Before::Platform(platform) => edited.platform = *platform,
            }
            self.schedule_controllers(cluster);
        }
    }
}

fn change_object(
    objects: &mut Objects,
    (kind, namespace, name): (Kind, &str, &str),
    change: ObjectChange,
    now: Timestamp,
) {
    match change {
        ObjectChange::Set(path, value) => {
            objects.update(kind, namespace, name, now, |object| set(object, path, value));
        }
        ObjectChange::Delete => drop(objects.delete(kind, namespace, name, now)),
        ObjectChange::Create(mut object) => {
            object["metadata"]["name"] = name.into();
            if !namespace.is_empty() {
                object["metadata"]["namespace"] = namespace.into();
            }
            objects.without_randomness(|objects| drop(objects.put(kind, object, now)));
        }
    }
}

fn restore_object(
    objects: &mut Objects,
    (kind, namespace, name): (Kind, &str, &str),
    before: Option<Value>,
    now: Timestamp,
) {
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

/// Returns the changes of a difference, for a workload. `other` is the name of the cluster with which it is compared.
#[expect(clippy::too_many_lines, reason = "one arm for each rule")]
fn edits(rule: Difference, (namespace, name): &NamespacedName, other: &str, objects: &Objects) -> Vec<Edit> {
    let edit = |kind: Kind, namespace: &str, name: &str, change: ObjectChange| {
        vec![Edit::object(kind, namespace, name, change)]
    };
    let own = |kind: Kind, name: &str, change: ObjectChange| edit(kind, namespace, name, change);
    let of_cluster = |kind: Kind, name: &str, change: ObjectChange| edit(kind, "", name, change);
    let pods = |path: &'static str, value: Value| own(Kind::Deployment, name, ObjectChange::Set(path, value));
    let in_both = |kind: Kind, name: &str, path: &'static str, value: &Value| {
        let of = || Edit::object(kind, namespace, name, ObjectChange::Set(path, value.clone()));
        vec![of(), of().in_other()]
    };
    let nodes = |path: &'static str, value: Value| {
        let names =
            objects.list(Kind::Node, None).filter_map(|node| Some(node["metadata"]["name"].as_str()?.to_owned()));
        let of = |node: String| Edit::object(Kind::Node, "", &node, ObjectChange::Set(path, value.clone()));
        names.map(of).collect::<Vec<_>>()
    };
    let system = |name: &str, image: &str| {
        let image = format!("registry.example.com/{image}");
        edit(
            Kind::Deployment,
            "kube-system",
            name,
            ObjectChange::Set("/spec/template/spec/containers/0/image", image.into()),
        )
    };
    let replicas = objects.get(Kind::Deployment, namespace, name).and_then(|d| d["spec"]["replicas"].as_u64());
    let replicas = replicas.unwrap_or(1);
    // The cluster lacks pods, so the next shares need additional capacity.
    let fewer = || own(Kind::Deployment, name, ObjectChange::Set("/spec/replicas", replicas.saturating_sub(1).into()));
    let autoscaler = |metrics: &Value| {
        ObjectChange::Create(json!({"metadata": {}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": replicas, "maxReplicas": replicas, "metrics": metrics,
        }}))
    };
    let account = (namespace.clone(), name.clone());
    match rule {
        Difference::Version => vec![Edit::of(EditKind::SkipVersion)],
        Difference::Support => vec![Edit::platform(|platform| platform.support_days = 30)],
        Difference::AddonUnhealthy => vec![Edit::platform(|platform| platform.addons[0].status = "DEGRADED")],
        Difference::AddonUnsupported => {
            vec![Edit::platform(|platform| platform.addons[0].version = "v1.0.0-eksbuild.1".into())]
        }
        Difference::Kubelet => nodes("/status/nodeInfo/kubeletVersion", "v1.20.0".into()),
        Difference::Architecture => nodes("/status/nodeInfo/architecture", "arm64".into()),
        Difference::AddonMissing => edit(Kind::Deployment, "kube-system", "coredns", ObjectChange::Delete),
        Difference::AddonVersion => system("coredns", "coredns:v1.10.1"),
        Difference::ControllerVersion => system("aws-load-balancer-controller", "aws-load-balancer-controller:v2.4.0"),
        Difference::Mesh => of_cluster(
            Kind::Namespace,
            namespace,
            ObjectChange::Set("/metadata/labels/istio-injection", "enabled".into()),
        ),
        Difference::MetricsSource => {
            let source = json!([{"type": "External", "external": {
                "metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"},
            }}]);
            own(Kind::HorizontalPodAutoscaler, name, autoscaler(&source))
        }
        Difference::ServedApi => {
            let managers = json!([{"manager": "deployer", "operation": "Update", "apiVersion": "apps/v1beta1"}]);
            let change = ObjectChange::Set("/metadata/managedFields", managers);
            vec![Edit::object(Kind::Deployment, namespace, name, change).in_other()]
        }
        Difference::Insight => {
            vec![Edit::platform(|platform| platform.deprecations[0].agent = Some("deployer/1.0".to_owned())).in_other()]
        }
        Difference::DryRunRefused => {
            let webhook = |refuses: &str| {
                let metadata = json!({"annotations": {REFUSES: refuses}});
                let object = json!({"metadata": metadata, "webhooks": []});
                Edit::object(Kind::ValidatingWebhookConfiguration, "", "policy", ObjectChange::Create(object))
            };
            vec![webhook("deployments"), webhook("").in_other()]
        }
        Difference::UnknownField => {
            let change = ObjectChange::Set("/spec/futureField", "x".into());
            vec![Edit::object(Kind::Deployment, namespace, name, change).in_other()]
        }
        Difference::Webhook => of_cluster(
            Kind::ValidatingWebhookConfiguration,
            "policy",
            ObjectChange::Create(json!({"metadata": {}, "webhooks": []})),
        ),
        Difference::Image => {
            pods("/spec/template/spec/containers/0/image", format!("registry.example.com/{name}:2").into())
        }
        Difference::Replicas => pods("/spec/replicas", (replicas + 1).into()),
        Difference::Autoscaler => {
            let metrics = json!([{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60},
            }}]);
            vec![Edit::object(Kind::HorizontalPodAutoscaler, namespace, name, autoscaler(&metrics)).in_other()]
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
        Difference::DisruptionBudget => own(Kind::PodDisruptionBudget, name, ObjectChange::Delete),
        Difference::Service => own(Kind::Service, name, ObjectChange::Set("/spec/sessionAffinity", "ClientIP".into())),
        Difference::NetworkPolicy => own(Kind::NetworkPolicy, name, ObjectChange::Delete),
        Difference::WorkloadMissing => own(Kind::Deployment, name, ObjectChange::Delete),
        Difference::Config => {
            own(Kind::ConfigMap, &format!("{name}-settings"), ObjectChange::Set("/data/limit", "20".into()))
        }
        Difference::ConfigMissing => own(Kind::ConfigMap, &format!("{name}-settings"), ObjectChange::Delete),
        Difference::Secret => {
            let secret = format!("{name}-token");
            let sources =
                json!([{"configMapRef": {"name": format!("{name}-settings")}}, {"secretRef": {"name": secret}}]);
            let mut all = in_both(Kind::Deployment, name, "/spec/template/spec/containers/0/envFrom", &sources);
            all.push(Edit::object(Kind::Secret, namespace, &secret, secret_with("token")).in_other());
            all
        }
        Difference::PullSecret => {
            let pulls = json!([{"name": "registry"}]);
            let mut all = in_both(Kind::Deployment, name, "/spec/template/spec/imagePullSecrets", &pulls);
            all.push(Edit::object(Kind::Secret, namespace, "registry", secret_with(".dockerconfigjson")).in_other());
            all
        }
        Difference::StorageClass => of_cluster(Kind::StorageClass, "gp3", ObjectChange::Delete),
        Difference::Volume => of_cluster(
            Kind::PersistentVolume,
            &format!("{namespace}-{name}-cache"),
            ObjectChange::Set("/spec/csi/volumeHandle", volume(other, namespace, name).into()),
        ),
        Difference::IngressClass => of_cluster(Kind::IngressClass, "alb", ObjectChange::Delete),
        Difference::CustomResource => {
            of_cluster(Kind::CustomResourceDefinition, "ingressclassparams.elbv2.k8s.aws", ObjectChange::Delete)
        }
        Difference::ServiceAccount => own(Kind::ServiceAccount, name, ObjectChange::Delete),
        Difference::PriorityClass => of_cluster(Kind::PriorityClass, "high", ObjectChange::Delete),
        Difference::RoleTrust => {
            let role = json!({"eks.amazonaws.com/role-arn": format!("arn:aws:iam::123456789012:role/{name}")});
            let mut all = in_both(Kind::ServiceAccount, name, "/metadata/annotations", &role);
            all.push(Edit::platform(|platform| platform.trusted = false));
            all
        }
        Difference::PodIdentity => {
            vec![Edit::platform(move |platform| platform.pod_identities.push(account)).in_other()]
        }
        Difference::Room => {
            let mut all = fewer();
            all.extend(nodes("/status/allocatable/cpu", "0".into()));
            all
        }
        Difference::Addresses => {
            let none = |platform: &mut Platform| platform.subnets.iter_mut().for_each(|subnet| subnet.free = 0);
            fewer().into_iter().chain([Edit::platform(none)]).collect()
        }
        Difference::PendingPod => {
            let condition = json!({"type": "PodScheduled", "status": "False", "message": "no node has enough memory"});
            let pod = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": []},
                "status": {"phase": "Pending", "conditions": [condition]}});
            own(Kind::Pod, &format!("{name}-pending"), ObjectChange::Create(pod))
        }
        Difference::Quota => {
            let (hard, used) = (json!({"pods": "1"}), json!({"pods": "2"}));
            let quota = json!({"metadata": {}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
            own(Kind::ResourceQuota, "pods", ObjectChange::Create(quota))
        }
        Difference::Limits => own(
            Kind::LimitRange,
            "limits",
            ObjectChange::Create(json!({"metadata": {}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "4"}}]}})),
        ),
        Difference::CronJob => own(Kind::CronJob, "billing", ObjectChange::Set("/spec/suspend", false.into())),
        Difference::Job => own(Kind::Job, "import", ObjectChange::Set("/status/active", 1.into())),
        Difference::StatefulSet => own(Kind::StatefulSet, "reports", ObjectChange::Set("/spec/replicas", 1.into())),
        Difference::Worker => own(Kind::Deployment, "mailer", ObjectChange::Set("/spec/replicas", 1.into())),
        Difference::Keda => {
            let scaled = || {
                let spec = json!({"scaleTargetRef": {"name": "mailer"}, "triggers": []});
                let object = ObjectChange::Create(json!({"metadata": {}, "spec": spec}));
                Edit::object(Kind::ScaledObject, namespace, "mailer", object)
            };
            vec![scaled(), scaled().in_other()]
        }
        Difference::Lease => {
            own(Kind::Lease, "mailer-leader", ObjectChange::Set("/spec/holderIdentity", "mailer-2".into()))
        }
        Difference::ExternalDns => {
            let owner = json!([format!("--txt-owner-id={other}")]);
            let change = ObjectChange::Set("/spec/template/spec/containers/0/args", owner);
            edit(Kind::Deployment, "kube-system", "external-dns", change)
        }
    }
}

fn secret_with(key: &str) -> ObjectChange {
    ObjectChange::Create(json!({"metadata": {}, "type": "Opaque", "data": {key: ""}}))
}

impl Edit {
    fn of(change: EditKind) -> Self {
        Self { in_other: false, change }
    }

    fn object(kind: Kind, namespace: &str, name: &str, change: ObjectChange) -> Self {
        Self::of(EditKind::Object { kind, namespace: namespace.to_owned(), name: name.to_owned(), change })
    }

    fn platform(change: impl FnOnce(&mut Platform) + 'static) -> Self {
        Self::of(EditKind::Platform(Box::new(change)))
    }

    fn in_other(self) -> Self {
        Self { in_other: true, ..self }
    }
}
