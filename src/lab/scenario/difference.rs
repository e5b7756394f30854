//! The verb `differ`: an object of one cluster differs from the other cluster, as `cutover compare` reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::period::Period;

/// The verb `differ`: changes objects of a cluster, so that `cutover compare` finds a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Differ {
    /// What differs.
    pub rule: Difference,
    /// Name of the cluster in the plan, or `from`, or `to`.
    pub cluster: String,
    /// Name of the workload in the plan; omitted: all workloads.
    pub workload: Option<String>,
    /// Duration of the fault; omitted: until the end.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// What differs between the clusters: one of the rules of `cutover compare`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// CUT100: the API server is newer by two minor versions.
    Version,
    /// CUT101: the support of the Kubernetes version ends soon.
    Support,
    /// CUT102: the kubelets are too old.
    Kubelet,
    /// CUT103: the nodes have another architecture.
    Architecture,
    /// CUT104: an add-on of EKS is degraded.
    AddonUnhealthy,
    /// CUT105: EKS does not offer the version of an add-on.
    AddonUnsupported,
    /// CUT106: `CoreDNS` is missing.
    AddonMissing,
    /// CUT107: `CoreDNS` is older.
    AddonVersion,
    /// CUT108: the AWS Load Balancer Controller is older.
    ControllerVersion,
    /// CUT109: the namespace joins a service mesh.
    Mesh,
    /// CUT110: an autoscaler with a metric that nothing provides.
    MetricsSource,
    /// CUT111: a client of the other cluster writes an API version that no cluster serves.
    ServedApi,
    /// CUT112: a client of the other cluster calls an API that this Kubernetes version does not have.
    Insight,
    /// CUT113: the policy of the cluster refuses new Deployments.
    DryRunRefused,
    /// CUT114: the other cluster has a field that this one does not know.
    UnknownField,
    /// CUT115: an admission webhook is new.
    Webhook,
    /// CUT120: another image. The pods are replaced.
    #[default]
    Image,
    /// CUT121: one replica more.
    Replicas,
    /// CUT122: the other cluster has an autoscaler.
    Autoscaler,
    /// CUT123: other resource requests.
    Resources,
    /// CUT124: another readiness probe.
    Probes,
    /// CUT125: another environment variable.
    Environment,
    /// CUT126: the arguments of the container differ.
    Arguments,
    /// CUT127: another volume.
    Volumes,
    /// CUT128: another security context.
    SecurityContext,
    /// CUT129: another priority class.
    Priority,
    /// CUT130: a node selector that no node fulfils.
    Placement,
    /// CUT131: the disruption budget is missing.
    DisruptionBudget,
    /// CUT132: the Service has a different session affinity.
    Service,
    /// CUT133: the network policy is missing.
    NetworkPolicy,
    /// CUT134: the Deployment is missing.
    WorkloadMissing,
    /// CUT140: the ConfigMap has other content.
    Config,
    /// CUT141: the ConfigMap is missing.
    ConfigMissing,
    /// CUT142: a Secret of the pods is missing.
    Secret,
    /// CUT143: the storage class is missing.
    StorageClass,
    /// CUT144: the volume of the other cluster is also in this one.
    Volume,
    /// CUT145: the ingress class is missing.
    IngressClass,
    /// CUT146: a custom resource is missing.
    CustomResource,
    /// CUT147: the Secret for pulling images is missing.
    PullSecret,
    /// CUT148: the service account is missing.
    ServiceAccount,
    /// CUT149: the priority class is missing.
    PriorityClass,
    /// CUT150: the IAM role of the service account does not trust this cluster.
    RoleTrust,
    /// CUT151: the Pod Identity association is missing.
    PodIdentity,
    /// CUT160: one replica less, and nodes without room. CUT121, too.
    Room,
    /// CUT161: one replica less, and subnets without free addresses. CUT121, too.
    Addresses,
    /// CUT162: a pod is pending.
    PendingPod,
    /// CUT163: a quota that is used up.
    Quota,
    /// CUT164: the namespace has a limit range.
    Limits,
    /// CUT170: the `CronJob` runs, as in the other cluster.
    CronJob,
    /// CUT171: the Job runs, as in the other cluster.
    Job,
    /// CUT172: the `StatefulSet` has pods, as in the other cluster.
    StatefulSet,
    /// CUT173: the worker has pods, as in the other cluster.
    Worker,
    /// CUT174: KEDA scales one worker in both clusters.
    Keda,
    /// CUT175: the Lease has a holder, as in the other cluster.
    Lease,
    /// CUT176: external-dns has the owner ID of the other cluster.
    ExternalDns,
}

impl Difference {
    /// All differences.
    pub const ALL: [Self; 55] = [
        Self::Version,
        Self::Support,
        Self::Kubelet,
        Self::Architecture,
        Self::AddonUnhealthy,
        Self::AddonUnsupported,
        Self::AddonMissing,
        Self::AddonVersion,
        Self::ControllerVersion,
        Self::Mesh,
        Self::MetricsSource,
        Self::ServedApi,
        Self::Insight,
        Self::DryRunRefused,
        Self::UnknownField,
        Self::Webhook,
        Self::Image,
        Self::Replicas,
        Self::Autoscaler,
        Self::Resources,
        Self::Probes,
        Self::Environment,
        Self::Arguments,
        Self::Volumes,
        Self::SecurityContext,
        Self::Priority,
        Self::Placement,
        Self::DisruptionBudget,
        Self::Service,
        Self::NetworkPolicy,
        Self::WorkloadMissing,
        Self::Config,
        Self::ConfigMissing,
        Self::Secret,
        Self::StorageClass,
        Self::Volume,
        Self::IngressClass,
        Self::CustomResource,
        Self::PullSecret,
        Self::ServiceAccount,
        Self::PriorityClass,
        Self::RoleTrust,
        Self::PodIdentity,
        Self::Room,
        Self::Addresses,
        Self::PendingPod,
        Self::Quota,
        Self::Limits,
        Self::CronJob,
        Self::Job,
        Self::StatefulSet,
        Self::Worker,
        Self::Keda,
        Self::Lease,
        Self::ExternalDns,
    ];

    /// Returns the code of the finding of `cutover compare`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Version => "CUT100",
            Self::Support => "CUT101",
            Self::Kubelet => "CUT102",
            Self::Architecture => "CUT103",
            Self::AddonUnhealthy => "CUT104",
            Self::AddonUnsupported => "CUT105",
            Self::AddonMissing => "CUT106",
            Self::AddonVersion => "CUT107",
            Self::ControllerVersion => "CUT108",
            Self::Mesh => "CUT109",
            Self::MetricsSource => "CUT110",
            Self::ServedApi => "CUT111",
            Self::Insight => "CUT112",
            Self::DryRunRefused => "CUT113",
            Self::UnknownField => "CUT114",
            Self::Webhook => "CUT115",
            Self::Image => "CUT120",
            Self::Replicas => "CUT121",
            Self::Autoscaler => "CUT122",
            Self::Resources => "CUT123",
            Self::Probes => "CUT124",
            Self::Environment => "CUT125",
            Self::Arguments => "CUT126",
            Self::Volumes => "CUT127",
            Self::SecurityContext => "CUT128",
            Self::Priority => "CUT129",
            Self::Placement => "CUT130",
            Self::DisruptionBudget => "CUT131",
            Self::Service => "CUT132",
            Self::NetworkPolicy => "CUT133",
            Self::WorkloadMissing => "CUT134",
            Self::Config => "CUT140",
            Self::ConfigMissing => "CUT141",
            Self::Secret => "CUT142",
            Self::StorageClass => "CUT143",
            Self::Volume => "CUT144",
            Self::IngressClass => "CUT145",
            Self::CustomResource => "CUT146",
            Self::PullSecret => "CUT147",
            Self::ServiceAccount => "CUT148",
            Self::PriorityClass => "CUT149",
            Self::RoleTrust => "CUT150",
            Self::PodIdentity => "CUT151",
            Self::Room => "CUT160",
            Self::Addresses => "CUT161",
            Self::PendingPod => "CUT162",
            Self::Quota => "CUT163",
            Self::Limits => "CUT164",
            Self::CronJob => "CUT170",
            Self::Job => "CUT171",
            Self::StatefulSet => "CUT172",
            Self::Worker => "CUT173",
            Self::Keda => "CUT174",
            Self::Lease => "CUT175",
            Self::ExternalDns => "CUT176",
        }
    }
}
