//! The facts about two clusters that the rules compare. The engine reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::object::Object;
use super::platform::PlatformFacts;
use crate::domain::traffic::Unreadable;
use crate::plan::model::ClusterName;

/// A fact that was read, or the reason why it is unknown.
pub type Fact<T> = Result<T, Unreadable>;

/// A kind of objects that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the Kubernetes API")]
pub enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Rollout,
    CronJob,
    Job,
    Pod,
    Service,
    ConfigMap,
    ServiceAccount,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    NetworkPolicy,
    PersistentVolumeClaim,
    Ingress,
    ResourceQuota,
    LimitRange,
    ScaledObject,
    ScaledJob,
    Lease,
    Namespace,
    Node,
    StorageClass,
    PersistentVolume,
    IngressClass,
    PriorityClass,
    CustomResourceDefinition,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
}

/// Where the objects of a kind are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the namespaces of the plan's workloads.
    Namespaces,
    /// In all namespaces, or without a namespace.
    Cluster,
}

/// How a kind is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindApi {
    /// The kind.
    pub kind: Kind,
    /// The API group and version, such as `apps/v1`; `v1` for the core group.
    pub version: &'static str,
    /// The name of the resource in paths and permissions.
    pub plural: &'static str,
    /// Where the objects are read.
    pub scope: Scope,
    /// Whether a cluster may lack the API. Then there are no objects.
    pub optional: bool,
}

/// All kinds that are compared.
pub const KINDS: &[KindApi] = {
    use Scope::Namespaces;
    const fn api(kind: Kind, version: &'static str, plural: &'static str, scope: Scope) -> KindApi {
        KindApi { kind, version, plural, scope, optional: false }
    }
    const fn optional(kind: Kind, version: &'static str, plural: &'static str) -> KindApi {
        KindApi { kind, version, plural, scope: Namespaces, optional: true }
    }
    const ALL: Scope = Scope::Cluster;
    &[
        api(Kind::Deployment, "apps/v1", "deployments", ALL),
        api(Kind::StatefulSet, "apps/v1", "statefulsets", Namespaces),
        api(Kind::DaemonSet, "apps/v1", "daemonsets", ALL),
        optional(Kind::Rollout, "argoproj.io/v1alpha1", "rollouts"),
        api(Kind::CronJob, "batch/v1", "cronjobs", Namespaces),
        api(Kind::Job, "batch/v1", "jobs", Namespaces),
        api(Kind::Pod, "v1", "pods", ALL),
        api(Kind::Service, "v1", "services", Namespaces),
        api(Kind::ConfigMap, "v1", "configmaps", Namespaces),
        api(Kind::ServiceAccount, "v1", "serviceaccounts", Namespaces),
        api(Kind::HorizontalPodAutoscaler, "autoscaling/v2", "horizontalpodautoscalers", Namespaces),
        api(Kind::PodDisruptionBudget, "policy/v1", "poddisruptionbudgets", Namespaces),
        api(Kind::NetworkPolicy, "networking.k8s.io/v1", "networkpolicies", Namespaces),
        api(Kind::PersistentVolumeClaim, "v1", "persistentvolumeclaims", Namespaces),
        api(Kind::Ingress, "networking.k8s.io/v1", "ingresses", Namespaces),
        api(Kind::ResourceQuota, "v1", "resourcequotas", Namespaces),
        api(Kind::LimitRange, "v1", "limitranges", Namespaces),
        optional(Kind::ScaledObject, "keda.sh/v1alpha1", "scaledobjects"),
        optional(Kind::ScaledJob, "keda.sh/v1alpha1", "scaledjobs"),
        api(Kind::Lease, "coordination.k8s.io/v1", "leases", Namespaces),
        api(Kind::Namespace, "v1", "namespaces", ALL),
        api(Kind::Node, "v1", "nodes", ALL),
        api(Kind::StorageClass, "storage.k8s.io/v1", "storageclasses", ALL),
        api(Kind::PersistentVolume, "v1", "persistentvolumes", ALL),
        api(Kind::IngressClass, "networking.k8s.io/v1", "ingressclasses", ALL),
        api(Kind::PriorityClass, "scheduling.k8s.io/v1", "priorityclasses", ALL),
        api(Kind::CustomResourceDefinition, "apiextensions.k8s.io/v1", "customresourcedefinitions", ALL),
        api(
            Kind::MutatingWebhookConfiguration,
            "admissionregistration.k8s.io/v1",
            "mutatingwebhookconfigurations",
            ALL,
        ),
        api(
            Kind::ValidatingWebhookConfiguration,
            "admissionregistration.k8s.io/v1",
            "validatingwebhookconfigurations",
            ALL,
        ),
    ]
};

impl KindApi {
    /// Returns the path of the list.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.version.contains('/') { "/apis" } else { "/api" };
        match namespace {
            Some(namespace) => format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }

    /// Returns the permission that reads the list.
    pub fn permission(&self) -> String {
        match self.version.split_once('/') {
            Some((group, _)) => format!("list {}.{group}", self.plural),
            None => format!("list {}", self.plural),
        }
    }

    /// Removes the parts of an object that no rule uses, so that large clusters fit into memory.
    pub fn trim(&self, body: &mut serde_json::Value) {
        if let Some(annotations) = body.pointer_mut("/metadata/annotations").and_then(|value| value.as_object_mut()) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        for field in
            body.pointer_mut("/metadata/managedFields").and_then(|value| value.as_array_mut()).into_iter().flatten()
        {
            if let Some(field) = field.as_object_mut() {
                field.remove("fieldsV1");
            }
        }
        let kept = match self.kind {
            Kind::Pod => &METADATA[..3],
            Kind::Lease | Kind::Node => &METADATA[..5],
            _ => METADATA,
        };
        keep(body.get_mut("metadata"), kept);
        match self.kind {
            Kind::Pod => trim_pod(body),
            Kind::Node => trim_node(body),
            Kind::CustomResourceDefinition => trim_crd(body),
            _ => {}
        }
        *body = compact(body.take());
    }
}

/// The metadata that rules use: of every object, of all but pods, and of all but pods, Leases and nodes.
const METADATA: &[&str] = &["name", "namespace", "labels", "annotations", "ownerReferences", "managedFields"];

fn keep(value: Option<&mut serde_json::Value>, fields: &[&str]) {
    if let Some(map) = value.and_then(|value| value.as_object_mut()) {
        map.retain(|key, _| fields.contains(&key.as_str()));
    }
}

/// Returns the value in maps that have no more room than they need. A map that lost entries keeps the room for them.
fn compact(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object};
    match value {
        Object(map) => Object(map.into_iter().map(|(key, value)| (key, compact(value))).collect()),
        Array(list) => Array(list.into_iter().map(compact).collect()),
        other => other,
    }
}

fn trim_pod(body: &mut serde_json::Value) {
    keep(body.get_mut("spec"), &["nodeName", "containers", "initContainers"]);
    keep(body.get_mut("status"), &["phase", "conditions", "containerStatuses"]);
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in body.pointer_mut(list).and_then(|value| value.as_array_mut()).into_iter().flatten() {
            keep(Some(container), &["name", "resources"]);
        }
    }
    let statuses = body.pointer_mut("/status/containerStatuses").and_then(|value| value.as_array_mut());
    statuses.into_iter().flatten().for_each(|status| keep(Some(status), &["name", "imageID"]));
    if let Some(conditions) = body.pointer_mut("/status/conditions").and_then(|value| value.as_array_mut()) {
        conditions.retain(|condition| condition["type"] == "PodScheduled");
        for condition in conditions {
            keep(Some(condition), &["type", "status", "message"]);
        }
    }
}

fn trim_node(body: &mut serde_json::Value) {
    keep(body.get_mut("spec"), &["taints", "unschedulable"]);
    keep(body.get_mut("status"), &["allocatable", "nodeInfo", "conditions"]);
}

fn trim_crd(body: &mut serde_json::Value) {
    let versions = body.pointer_mut("/spec/versions").and_then(|value| value.as_array_mut());
    versions.into_iter().flatten().for_each(|version| keep(Some(version), &["name", "served", "storage"]));
    keep(body.get_mut("spec"), &["group", "names", "versions"]);
    keep(body.get_mut("status"), &[]);
}

/// The result of a dry-run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRun {
    /// The API server accepts the object.
    Accepted,
    /// The API server would drop these fields, which its version of the kind does not have.
    UnknownFields(Vec<String>),
    /// Validation or admission refuses the object, with this message.
    Refused(String),
}

/// An object of the old cluster, in the form in which it is sent to the new cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The kind.
    pub kind: Kind,
    /// The namespace in the new cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The object without what an API server sets.
    pub body: serde_json::Value,
}

impl Candidate {
    /// Returns the API of the kind.
    pub fn api(&self) -> Option<&'static KindApi> {
        KINDS.iter().find(|api| api.kind == self.kind)
    }

    /// Returns the permission that the dry-run needs. Kubernetes has no permission for dry-runs alone.
    pub fn permission(kind: Kind) -> String {
        let api = KINDS.iter().find(|api| api.kind == kind);
        api.map(KindApi::permission).unwrap_or_default().replacen("list ", "create ", 1)
    }
}

/// The facts about one cluster.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// The name of the cluster in the plan.
    pub name: ClusterName,
    /// The version of the API server, such as `v1.33.4-eks-1`.
    pub version: Fact<String>,
    /// The API groups with their versions that the cluster serves, such as `apps/v1`.
    pub served: Fact<BTreeSet<String>>,
    /// The number of keys of each Secret that the plan's workloads reference, by namespace and name; `None` if the
    /// Secret does not exist.
    pub secrets: BTreeMap<(String, String), Fact<Option<u64>>>,
    /// The objects of each kind.
    pub objects: BTreeMap<Kind, Fact<Vec<Object>>>,
    /// Texts that name this cluster: its name in EKS, its endpoint, its OIDC issuer. They differ between clusters.
    pub own_names: Vec<String>,
    /// The facts that AWS has about the cluster; `None` if it is not an EKS cluster.
    pub platform: Option<PlatformFacts>,
    /// The results of the dry-runs; empty for the old cluster.
    pub dry_runs: Vec<(Candidate, Fact<DryRun>)>,
}

impl ClusterFacts {
    /// Returns the objects of a kind; empty if they are unknown.
    pub fn all(&self, kind: Kind) -> &[Object] {
        self.objects.get(&kind).and_then(|objects| objects.as_ref().ok()).map_or(&[], Vec::as_slice)
    }

    /// Returns whether the objects of a kind were read.
    pub fn knows(&self, kind: Kind) -> bool {
        self.objects.get(&kind).is_some_and(Result::is_ok)
    }

    /// Returns the objects of a kind in a namespace.
    pub fn within<'a>(&'a self, kind: Kind, namespace: &'a str) -> impl Iterator<Item = &'a Object> {
        self.all(kind).iter().filter(move |object| object.namespace == namespace)
    }

    /// Returns an object.
    pub fn one(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.all(kind).iter().find(|object| object.namespace == namespace && object.name == name)
    }
}
