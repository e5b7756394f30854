//! Two equal clusters for the tests of the rules, and changes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::facts::{ClusterFacts, KINDS, Kind};
use super::object::Object;
use crate::domain::fixture;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Plan;

/// The namespace and the names are those of the fixture plan.
pub(super) const NAMESPACE: &str = "web";
pub(super) const NAME: &str = "webapp";

pub(super) fn plan() -> Plan {
    let mut plan = fixture::plan();
    let services = &mut plan.workloads[0].services;
    for service in services.values_mut() {
        NAMESPACE.clone_into(&mut service.namespace);
        NAME.clone_into(&mut service.name);
    }
    plan
}

pub(super) fn metadata(namespace: &str, name: &str) -> Value {
    if namespace.is_empty() { json!({ "name": name }) } else { json!({ "namespace": namespace, "name": name }) }
}

pub(super) fn deployment(namespace: &str, name: &str, image: &str) -> Value {
    json!({
        "metadata": metadata(namespace, name),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "serviceAccountName": NAME,
                    "priorityClassName": "high",
                    "imagePullSecrets": [{"name": "registry"}],
                    "containers": [{
                        "name": "app",
                        "image": image,
                        "env": [{"name": "MODE", "value": "live"}, {"name": "LEVEL", "value": "info"}],
                        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}],
                        "args": ["serve"],
                        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                        "securityContext": {"runAsNonRoot": true},
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                },
            },
        },
    })
}

fn pod(index: usize, digest: &str) -> Value {
    json!({
        "metadata": {"namespace": NAMESPACE, "name": format!("{NAME}-{index}"), "labels": {"app": NAME}},
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "app", "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}}}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "app", "imageID": format!("registry.example/webapp@{digest}")}],
        },
    })
}

/// Returns the plan's workload and what it references.
fn workload(name: &str) -> Vec<(Kind, Vec<Value>)> {
    let worker = deployment(NAMESPACE, "mailer", "mailer:1");
    let mut worker = worker;
    worker["spec"]["replicas"] = json!(i32::from(name == "a"));
    let controller = |name: &str, image: &str| deployment("kube-system", name, image);
    vec![
        (
            Kind::Deployment,
            vec![
                deployment(NAMESPACE, NAME, "registry.example/webapp:7"),
                worker,
                controller("coredns", "registry.example/coredns:v1.11.4"),
                controller("aws-load-balancer-controller", "registry.example/aws-load-balancer-controller:v2.13.3"),
                controller("istiod", "registry.example/pilot:1.27.1"),
            ],
        ),
        (Kind::DaemonSet, vec![]),
        (Kind::Pod, vec![pod(1, "sha256:aaaa"), pod(2, "sha256:aaaa")]),
        (
            Kind::Service,
            vec![json!({
                "metadata": metadata(NAMESPACE, NAME),
                "spec": {
                    "clusterIP": format!("10.0.{}.1", name.len()),
                    "selector": {"app": NAME},
                    "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30000 + name.len()}],
                },
            })],
        ),
        (
            Kind::ConfigMap,
            vec![json!({
                "metadata": metadata(NAMESPACE, "settings"),
                "data": {"endpoint": format!("https://prod-{name}.example"), "limit": "10"},
            })],
        ),
        (Kind::ServiceAccount, vec![json!({"metadata": metadata(NAMESPACE, NAME)})]),
        (Kind::HorizontalPodAutoscaler, vec![]),
        (
            Kind::PodDisruptionBudget,
            vec![json!({
                "metadata": metadata(NAMESPACE, NAME),
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": NAME}}},
            })],
        ),
        (
            Kind::NetworkPolicy,
            vec![json!({
                "metadata": metadata(NAMESPACE, "ingress"),
                "spec": {"podSelector": {"matchLabels": {"app": NAME}}, "policyTypes": ["Ingress"]},
            })],
        ),
        (
            Kind::PersistentVolumeClaim,
            vec![json!({"metadata": metadata(NAMESPACE, "data"), "spec": {"storageClassName": "gp3"}})],
        ),
        (
            Kind::StorageClass,
            vec![
                json!({"metadata": metadata("", "gp3"), "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}}),
            ],
        ),
        (
            Kind::PersistentVolume,
            vec![json!({
                "metadata": metadata("", &format!("pvc-{name}")),
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": format!("vol-{name}")},
                },
            })],
        ),
    ]
}

/// Returns a small platform, and what must not run twice.
fn platform(name: &str) -> Vec<(Kind, Vec<Value>)> {
    let node = json!({
        "metadata": {"name": "node-1", "labels": {"kubernetes.io/arch": "arm64", "zone": "a"}},
        "status": {
            "nodeInfo": {"architecture": "arm64", "operatingSystem": "linux", "kubeletVersion": "v1.33.1"},
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"},
        },
    });
    vec![
        (Kind::Node, vec![node]),
        (Kind::Namespace, vec![json!({"metadata": {"name": NAMESPACE, "labels": {"istio.io/rev": "1-27"}}})]),
        (Kind::PriorityClass, vec![json!({"metadata": metadata("", "high"), "value": 1000})]),
        (Kind::IngressClass, vec![json!({"metadata": metadata("", "alb")})]),
        (Kind::Ingress, vec![json!({"metadata": metadata(NAMESPACE, "shop"), "spec": {"ingressClassName": "alb"}})]),
        (
            Kind::CustomResourceDefinition,
            vec![json!({
                "metadata": metadata("", "rollouts.argoproj.io"),
                "spec": {"versions": [{"name": "v1alpha1", "served": true}]},
            })],
        ),
        (Kind::MutatingWebhookConfiguration, vec![json!({"metadata": metadata("", "injector")})]),
        (Kind::CronJob, vec![json!({"metadata": metadata(NAMESPACE, "billing"), "spec": {"suspend": name != "a"}})]),
        (
            Kind::Job,
            vec![json!({"metadata": metadata(NAMESPACE, "import"), "status": {"active": i32::from(name == "a")}})],
        ),
        (
            Kind::ScaledObject,
            vec![json!({
                "metadata": {
                    "namespace": NAMESPACE, "name": "mailer",
                    "annotations": {"autoscaling.keda.sh/paused": (name != "a").to_string()},
                },
                "spec": {"scaleTargetRef": {"name": "mailer"}},
            })],
        ),
        (
            Kind::Lease,
            vec![json!({
                "metadata": metadata(NAMESPACE, "mailer-leader"),
                "spec": {"holderIdentity": if name == "a" { "mailer-1" } else { "" }},
            })],
        ),
        (
            Kind::ResourceQuota,
            vec![json!({
                "metadata": metadata(NAMESPACE, "quota"),
                "status": {"hard": {"requests.cpu": "10"}, "used": {"requests.cpu": "1"}},
            })],
        ),
        (
            Kind::LimitRange,
            vec![json!({"metadata": metadata(NAMESPACE, "limits"), "spec": {"limits": [{"type": "Container"}]}})],
        ),
    ]
}

/// Returns a cluster with the plan's workload and a platform.
pub(super) fn cluster(name: &str) -> ClusterFacts {
    let mut all: BTreeMap<_, _> = KINDS.iter().map(|api| (api.kind, Ok(Vec::new()))).collect();
    for (kind, values) in workload(name).into_iter().chain(platform(name)) {
        all.insert(kind, Ok(values.into_iter().filter_map(Object::new).collect()));
    }
    ClusterFacts {
        name: name.to_owned(),
        version: Ok("v1.33.4".to_owned()),
        served: Ok(["v1", "apps/v1", "metrics.k8s.io/v1beta1"].map(str::to_owned).into()),
        secrets: [("login", 2), ("registry", 1)]
            .map(|(secret, keys)| ((NAMESPACE.to_owned(), secret.to_owned()), Ok(Some(keys))))
            .into(),
        objects: all,
        own_names: vec![format!("prod-{name}")],
        platform: None,
        dry_runs: Vec::new(),
    }
}

/// Changes an object in a cluster.
pub(super) fn edit(facts: &mut ClusterFacts, kind: Kind, name: &str, change: impl Fn(&mut Value)) {
    let objects = facts.objects.get_mut(&kind).and_then(|objects| objects.as_mut().ok()).unwrap();
    change(&mut objects.iter_mut().find(|object| object.name == name).unwrap().body);
}

pub(super) fn remove(facts: &mut ClusterFacts, kind: Kind, name: &str) {
    let objects = facts.objects.get_mut(&kind).and_then(|objects| objects.as_mut().ok()).unwrap();
    objects.retain(|object| object.name != name);
}

pub(super) fn add(facts: &mut ClusterFacts, kind: Kind, value: Value) {
    let objects = facts.objects.get_mut(&kind).and_then(|objects| objects.as_mut().ok()).unwrap();
    objects.extend(Object::new(value));
}

/// Changes a field of the first container of the plan's workload.
pub(super) fn container(facts: &mut ClusterFacts, field: &str, value: Value) {
    edit(facts, Kind::Deployment, NAME, |body| {
        body["spec"]["template"]["spec"]["containers"][0][field] = value.clone();
    });
}

/// Changes a field of the pod template of the plan's workload.
pub(super) fn template(facts: &mut ClusterFacts, field: &str, value: Value) {
    edit(facts, Kind::Deployment, NAME, |body| body["spec"]["template"]["spec"][field] = value.clone());
}

pub(super) fn secret(facts: &mut ClusterFacts, name: &str, keys: Result<Option<u64>, Unreadable>) {
    facts.secrets.insert((NAMESPACE.to_owned(), name.to_owned()), keys);
}

pub(super) fn image(facts: &mut ClusterFacts, deployment: &str, image: &str) {
    edit(facts, Kind::Deployment, deployment, |body| {
        body["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}
