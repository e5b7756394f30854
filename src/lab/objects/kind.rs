//! The kinds of Kubernetes objects that a cluster of the lab serves, and the API resource of each kind.

/// A kind of Kubernetes object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the Kubernetes kinds of these names
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    Event,
    ConfigMap,
    Secret,
    Deployment,
    StatefulSet,
    ReplicaSet,
    HorizontalPodAutoscaler,
    Job,
    EndpointSlice,
    Lease,
    TargetGroupBinding,
    DaemonSet,
    CronJob,
    ServiceAccount,
    PersistentVolumeClaim,
    PersistentVolume,
    ResourceQuota,
    LimitRange,
    PodDisruptionBudget,
    NetworkPolicy,
    Ingress,
    IngressClass,
    StorageClass,
    PriorityClass,
    CustomResourceDefinition,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    ScaledObject,
}

/// The API resource of a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind of the objects.
    pub kind: Kind,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, such as `v1beta1`.
    pub version: &'static str,
    /// The value of `kind` in objects, such as `Pod`.
    pub name: &'static str,
    /// Plural name, as in paths, such as `pods`.
    pub plural: &'static str,
    /// Singular name, such as `pod`.
    pub singular: &'static str,
    /// Short names that kubectl accepts, such as `po`.
    pub short: &'static [&'static str],
    /// Whether the objects belong to a namespace.
    pub namespaced: bool,
    /// Whether the resource has the subresource `scale`.
    pub has_scale: bool,
    /// Whether the resource has the subresource `status`.
    pub has_status: bool,
}

impl Resource {
    /// Returns the value of `apiVersion` in objects, such as `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

const fn resource(kind: Kind, group: &'static str, version: &'static str, names: [&'static str; 3]) -> Resource {
    let [name, plural, singular] = names;
    Resource {
        kind,
        group,
        version,
        name,
        plural,
        singular,
        short: &[],
        namespaced: true,
        has_scale: false,
        has_status: true,
    }
}

const NETWORKING: &str = "networking.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// The resources of every kind except TargetGroupBinding.
static BUILT_IN_RESOURCES: [Resource; 31] = [
    Resource {
        short: &["ns"],
        namespaced: false,
        ..resource(Kind::Namespace, "", "v1", ["Namespace", "namespaces", "namespace"])
    },
    Resource { short: &["no"], namespaced: false, ..resource(Kind::Node, "", "v1", ["Node", "nodes", "node"]) },
    Resource { short: &["po"], ..resource(Kind::Pod, "", "v1", ["Pod", "pods", "pod"]) },
    Resource { short: &["svc"], ..resource(Kind::Service, "", "v1", ["Service", "services", "service"]) },
    Resource { short: &["ev"], has_status: false, ..resource(Kind::Event, "", "v1", ["Event", "events", "event"]) },
    Resource {
        short: &["cm"],
        has_status: false,
        ..resource(Kind::ConfigMap, "", "v1", ["ConfigMap", "configmaps", "configmap"])
    },
    Resource { has_status: false, ..resource(Kind::Secret, "", "v1", ["Secret", "secrets", "secret"]) },
    Resource {
        short: &["sa"],
        has_status: false,
        ..resource(Kind::ServiceAccount, "", "v1", ["ServiceAccount", "serviceaccounts", "serviceaccount"])
    },
    Resource {
        short: &["pvc"],
        ..resource(
            Kind::PersistentVolumeClaim,
            "",
            "v1",
            ["PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim"],
        )
    },
    Resource {
        short: &["pv"],
        namespaced: false,
        ..resource(Kind::PersistentVolume, "", "v1", ["PersistentVolume", "persistentvolumes", "persistentvolume"])
    },
    Resource {
        short: &["quota"],
        ..resource(Kind::ResourceQuota, "", "v1", ["ResourceQuota", "resourcequotas", "resourcequota"])
    },
    Resource {
        short: &["limits"],
        has_status: false,
        ..resource(Kind::LimitRange, "", "v1", ["LimitRange", "limitranges", "limitrange"])
    },
    Resource {
        short: &["deploy"],
        has_scale: true,
        ..resource(Kind::Deployment, "apps", "v1", ["Deployment", "deployments", "deployment"])
    },
    Resource {
        short: &["sts"],
        has_scale: true,
        ..resource(Kind::StatefulSet, "apps", "v1", ["StatefulSet", "statefulsets", "statefulset"])
    },
    Resource {
        short: &["rs"],
        has_scale: true,
        ..resource(Kind::ReplicaSet, "apps", "v1", ["ReplicaSet", "replicasets", "replicaset"])
    },
    Resource { short: &["ds"], ..resource(Kind::DaemonSet, "apps", "v1", ["DaemonSet", "daemonsets", "daemonset"]) },
    Resource {
        short: &["hpa"],
        ..resource(
            Kind::HorizontalPodAutoscaler,
            "autoscaling",
            "v2",
            ["HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"],
        )
    },
    resource(Kind::Job, "batch", "v1", ["Job", "jobs", "job"]),
    Resource { short: &["cj"], ..resource(Kind::CronJob, "batch", "v1", ["CronJob", "cronjobs", "cronjob"]) },
    Resource {
        has_status: false,
        ..resource(Kind::EndpointSlice, "discovery.k8s.io", "v1", ["EndpointSlice", "endpointslices", "endpointslice"])
    },
    Resource { has_status: false, ..resource(Kind::Lease, "coordination.k8s.io", "v1", ["Lease", "leases", "lease"]) },
    Resource {
        short: &["pdb"],
        ..resource(
            Kind::PodDisruptionBudget,
            "policy",
            "v1",
            ["PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget"],
        )
    },
    Resource {
        short: &["netpol"],
        has_status: false,
        ..resource(Kind::NetworkPolicy, NETWORKING, "v1", ["NetworkPolicy", "networkpolicies", "networkpolicy"])
    },
    Resource { short: &["ing"], ..resource(Kind::Ingress, NETWORKING, "v1", ["Ingress", "ingresses", "ingress"]) },
    Resource {
        namespaced: false,
        has_status: false,
        ..resource(Kind::IngressClass, NETWORKING, "v1", ["IngressClass", "ingressclasses", "ingressclass"])
    },
    Resource {
        short: &["sc"],
        namespaced: false,
        has_status: false,
        ..resource(Kind::StorageClass, "storage.k8s.io", "v1", ["StorageClass", "storageclasses", "storageclass"])
    },
    Resource {
        short: &["pc"],
        namespaced: false,
        has_status: false,
        ..resource(
            Kind::PriorityClass,
            "scheduling.k8s.io",
            "v1",
            ["PriorityClass", "priorityclasses", "priorityclass"],
        )
    },
    Resource {
        short: &["crd"],
        namespaced: false,
        ..resource(
            Kind::CustomResourceDefinition,
            "apiextensions.k8s.io",
            "v1",
            ["CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition"],
        )
    },
    Resource {
        namespaced: false,
        has_status: false,
        ..resource(
            Kind::MutatingWebhookConfiguration,
            ADMISSION,
            "v1",
            ["MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration"],
        )
    },
    Resource {
        namespaced: false,
        has_status: false,
        ..resource(
            Kind::ValidatingWebhookConfiguration,
            ADMISSION,
            "v1",
            ["ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validatingwebhookconfiguration"],
        )
    },
    Resource {
        short: &["so"],
        ..resource(Kind::ScaledObject, "keda.sh", "v1alpha1", ["ScaledObject", "scaledobjects", "scaledobject"])
    },
];

const BINDING_NAMES: [&str; 3] = ["TargetGroupBinding", "targetgroupbindings", "targetgroupbinding"];
/// The resource TargetGroupBinding of the AWS Load Balancer Controller.
static CONTROLLER_BINDING: Resource = resource(Kind::TargetGroupBinding, "elbv2.k8s.aws", "v1beta1", BINDING_NAMES);
/// The resource TargetGroupBinding of EKS Auto Mode.
static AUTO_MODE_BINDING: Resource = resource(Kind::TargetGroupBinding, "eks.amazonaws.com", "v1", BINDING_NAMES);

/// Returns every resource that a cluster serves, with TargetGroupBinding as the last resource.
pub fn resources(auto_mode: bool) -> impl Iterator<Item = &'static Resource> {
    BUILT_IN_RESOURCES.iter().chain([if auto_mode { &AUTO_MODE_BINDING } else { &CONTROLLER_BINDING }])
}
