//! Represents the Kubernetes objects of a workload in one cluster as plain values. The adapter fills the values from
//! the API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::binding::Binding;

/// The identity and version of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIdentity {
    /// The UID of the namespace `kube-system`, which identifies the cluster.
    pub uid: String,
    /// The version of the API server, such as `v1.33.4-eks-1`.
    pub version: String,
    /// The API group and version in which the cluster serves TargetGroupBinding: `elbv2.k8s.aws/v1beta1`, or
    /// `eks.amazonaws.com/v1` in Auto Mode; `None` if the cluster serves neither.
    pub binding_api: Option<String>,
    /// The name of the cluster in EKS, if the access to the cluster contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eks_name: Option<String>,
}

/// All objects that belong to a workload in one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    /// The Service; `None` if the Service does not exist.
    pub service: Option<Service>,
    /// The pods that the Service selects.
    pub pods: Vec<Pod>,
    /// The Deployments and StatefulSets that own these pods.
    pub owners: Vec<PodOwner>,
    /// The HorizontalPodAutoscalers that scale these owners.
    pub hpas: Vec<Hpa>,
    /// The TargetGroupBindings of the Service.
    pub bindings: Vec<Binding>,
    /// The labels of the namespace, one of which can enable the injection of readiness gates.
    pub namespace_labels: BTreeMap<String, String>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The name of the Service.
    pub name: String,
    /// The type, such as `ClusterIP` or `NodePort`, if known.
    #[serde(default)]
    pub kind: Option<String>,
    /// The ports as (name, number).
    pub ports: Vec<(Option<String>, u16)>,
    /// The labels that the Service selects pods by.
    pub selector: BTreeMap<String, String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// The name of the pod.
    pub name: String,
    /// The IP address, if the pod has one.
    pub ip: Option<String>,
    /// Whether the pod's condition `Ready` is true.
    pub ready: bool,
    /// The types of the pod's readiness gates.
    pub readiness_gates: Vec<String>,
    /// The time at which the pod was created.
    pub created: Option<Timestamp>,
    /// The total number of restarts of the pod's containers.
    #[serde(default)]
    pub restarts: u32,
    /// The time of the last restart of a container, if known.
    pub restarted: Option<Timestamp>,
}

/// A Deployment or StatefulSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodOwner {
    /// The kind: `Deployment` or `StatefulSet`.
    pub kind: String,
    /// The name of the object.
    pub name: String,
    /// The number of desired replicas (`spec.replicas`).
    pub replicas: u32,
    /// The number of ready replicas (`status.readyReplicas`).
    pub ready: u32,
    /// The number of replicas of the current version (`status.updatedReplicas`); `None` if it is not known, or if the
    /// controller has not observed the current version yet.
    pub updated: Option<u32>,
    /// The GitOps tool that the labels and annotations name, such as `Argo CD`; `None` means no tool.
    pub managed_by: Option<String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hpa {
    /// The name of the HorizontalPodAutoscaler.
    pub name: String,
    /// The object that the HPA scales, such as `Deployment/webapp`.
    pub target: String,
    /// The minimum number of replicas (`spec.minReplicas`, 1 if absent).
    pub min: u32,
    /// The maximum number of replicas (`spec.maxReplicas`).
    pub max: u32,
    /// The current number of replicas (`status.currentReplicas`).
    pub current: u32,
    /// The number of replicas that the HPA wants (`status.desiredReplicas`).
    pub desired: u32,
}
