//! Builds the objects around the workloads of a cluster: the objects that their pods reference, the platform, and the
//! objects that must not run in two clusters. All clusters of a lab get equal objects, for `cutover compare`; the
//! faults `differ` change them.
//!
//! The lab runs no pods of the platform, so that only the workloads of the plan use addresses and time.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lab::objects::{Kind, Objects};

/// The annotation of a Deployment for which the lab creates no pods.
pub(in crate::lab::model) const NO_PODS: &str = "lab.cutover.dev/no-pods";

/// The architecture of the nodes.
pub(in crate::lab::model) const ARCHITECTURE: &str = "amd64";

/// The name of the priority class of every pod.
pub(in crate::lab::model) const PRIORITY: &str = "high";

/// Returns the fields of a node's status that the scheduler and the kubelet report. `version` is the version of the API
/// server.
pub(super) fn node_status(version: &str) -> Value {
    json!({
        "allocatable": {"cpu": "1000", "memory": "4000Gi", "pods": "2000"},
        "nodeInfo": {
            "architecture": ARCHITECTURE, "operatingSystem": "linux", "kubeletVersion": kubelet(version),
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.12.0", "osImage": "lab",
            "containerRuntimeVersion": "containerd://2.0.0", "kubeProxyVersion": "",
        },
    })
}

fn kubelet(version: &str) -> String {
    let number = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    let patch = if number.split('.').count() > 2 { "" } else { ".0" };
    format!("v{number}{patch}")
}

/// Adds references to the platform's objects to a pod template.
pub(super) fn complete_template(spec: &mut Value, name: &str) {
    spec["serviceAccountName"] = name.into();
    spec["priorityClassName"] = PRIORITY.into();
    spec["volumes"] = json!([{"name": "cache", "persistentVolumeClaim": {"claimName": format!("{name}-cache")}}]);
    let container = &mut spec["containers"][0];
    container["env"] = json!([{"name": "MODE", "value": "live"}]);
    container["envFrom"] = json!([{"configMapRef": {"name": format!("{name}-settings")}}]);
    container["resources"] = json!({"requests": {"cpu": "250m", "memory": "256Mi"}});
    container["volumeMounts"] = json!([{"name": "cache", "mountPath": "/cache"}]);
}

/// Creates the objects that the pods of a workload reference. `cluster` is the name of the cluster; the name of the
/// volume contains it.
pub(super) fn add_references(objects: &mut Objects, cluster: &str, namespace: &str, name: &str, now: Timestamp) {
    let selector = json!({"matchLabels": {"app": name}});
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    let cache = format!("{name}-cache");
    let all = [
        (Kind::ServiceAccount, json!({"metadata": metadata(name)})),
        (Kind::ConfigMap, json!({"metadata": metadata(&format!("{name}-settings")), "data": {"limit": "10"}})),
        (
            Kind::PodDisruptionBudget,
            json!({"metadata": metadata(name), "spec": {"minAvailable": 1, "selector": selector}}),
        ),
        (
            Kind::NetworkPolicy,
            json!({"metadata": metadata(name), "spec": {"podSelector": selector, "policyTypes": ["Ingress"]}}),
        ),
        (
            Kind::PersistentVolumeClaim,
            json!({"metadata": metadata(&cache), "spec": {
                "storageClassName": "gp3", "accessModes": ["ReadWriteOnce"], "volumeName": format!("{namespace}-{cache}"),
            }}),
        ),
        (
            Kind::PersistentVolume,
            json!({"metadata": {"name": format!("{namespace}-{cache}")}, "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
                "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": volume(cluster, namespace, name)},
            }}),
        ),
    ];
    for (kind, object) in all {
        objects.put(kind, object, now);
    }
}

/// Returns the storage behind the volume of a workload.
pub(in crate::lab::model) fn volume(cluster: &str, namespace: &str, name: &str) -> String {
    format!("vol-{cluster}-{namespace}-{name}")
}

/// Creates the platform of a cluster. `cluster` is the name of the cluster, which is the owner of its DNS records.
pub(super) fn add_platform(objects: &mut Objects, cluster: &str, now: Timestamp) {
    let system = [
        (Kind::Deployment, "coredns", "coredns:v1.12.1"),
        (Kind::Deployment, "aws-load-balancer-controller", "aws-load-balancer-controller:v2.13.3"),
        (Kind::DaemonSet, "aws-node", "amazon-k8s-cni:v1.20.1"),
        (Kind::DaemonSet, "kube-proxy", "kube-proxy:v1.33.3"),
    ];
    for (kind, name, image) in system {
        let mut object = owner("kube-system", name, &format!("registry.example.com/{image}"), 2);
        if kind == Kind::DaemonSet
            && let Some(spec) = object["spec"].as_object_mut()
        {
            spec.remove("replicas");
        }
        objects.put(kind, object, now);
    }
    let mut dns = owner("kube-system", "external-dns", "registry.example.com/external-dns:v0.18.0", 1);
    dns["spec"]["template"]["spec"]["containers"][0]["args"] = json!([format!("--txt-owner-id={cluster}")]);
    objects.put(Kind::Deployment, dns, now);
    let of_cluster = [
        (
            Kind::StorageClass,
            json!({"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}}),
        ),
        (Kind::PriorityClass, json!({"metadata": {"name": PRIORITY}, "value": 1000})),
        (Kind::IngressClass, json!({"metadata": {"name": "alb"}, "spec": {"controller": "ingress.k8s.aws/alb"}})),
        (
            Kind::CustomResourceDefinition,
            json!({"metadata": {"name": "ingressclassparams.elbv2.k8s.aws"}, "spec": {
                "group": "elbv2.k8s.aws", "scope": "Cluster",
                "names": {"kind": "IngressClassParams", "plural": "ingressclassparams"},
                "versions": [{"name": "v1beta1", "served": true, "storage": true}],
            }}),
        ),
        (
            Kind::MutatingWebhookConfiguration,
            json!({"metadata": {"name": "aws-load-balancer-webhook"}, "webhooks": []}),
        ),
    ];
    for (kind, object) in of_cluster {
        objects.put(kind, object, now);
    }
}

/// Creates the objects of a namespace that must run in only one cluster. `active` says whether they run in this
/// cluster.
pub(super) fn add_single(objects: &mut Objects, namespace: &str, active: bool, now: Timestamp) {
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    let template = |name: &str| {
        json!({"metadata": {"labels": {"app": name}}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": name, "image": format!("registry.example.com/{name}:1")}],
        }})
    };
    let replicas = u32::from(active);
    let mut reports = owner(namespace, "reports", "registry.example.com/reports:1", replicas);
    reports["spec"]["serviceName"] = "reports".into();
    let all = [
        (
            Kind::CronJob,
            json!({"metadata": metadata("billing"), "spec": {
                "schedule": "0 3 * * *", "suspend": !active, "jobTemplate": {"spec": {"template": template("billing")}},
            }}),
        ),
        (
            Kind::Job,
            json!({"metadata": metadata("import"), "spec": {"template": template("import")},
                "status": {"active": replicas}}),
        ),
        (Kind::Deployment, owner(namespace, "mailer", "registry.example.com/mailer:1", replicas)),
        (Kind::StatefulSet, reports),
        (
            Kind::Lease,
            json!({"metadata": metadata("mailer-leader"), "spec": {
                "holderIdentity": if active { "mailer-1" } else { "" }, "leaseDurationSeconds": 15,
            }}),
        ),
        (Kind::Ingress, json!({"metadata": metadata("admin"), "spec": {"ingressClassName": "alb"}})),
    ];
    for (kind, object) in all {
        objects.put(kind, object, now);
    }
}

/// Returns an object with a pod template, for which the lab creates no pods.
fn owner(namespace: &str, name: &str, image: &str, replicas: u32) -> Value {
    let labels = json!({"app": name});
    json!({
        "metadata": {"name": name, "namespace": namespace, "annotations": {NO_PODS: "true"}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image}]}},
        },
    })
}
