//! The objects of a workload in one cluster as plain values, which the adapter fills from the Kubernetes API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::binding::Binding;

/// Identity and version of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIdentity {
    /// UID of the namespace `kube-system`, which identifies the cluster.
    pub uid: String,
    /// Git version of the API server, such as `v1.33.4-eks-1`.
    pub version: String,
    /// The API group of TargetGroupBinding that it serves: `elbv2.k8s.aws/v1beta1`, or `eks.amazonaws.com/v1` in Auto
    /// Mode; `None`: neither.
    pub binding_api: Option<String>,
}

/// Everything that belongs to a workload in one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    /// The Service; `None`: it does not exist.
    pub service: Option<Service>,
    /// Pods that its selector selects.
    pub pods: Vec<Pod>,
    /// Deployments and StatefulSets that own them.
    pub owners: Vec<PodOwner>,
    /// HorizontalPodAutoscalers that scale those owners.
    pub hpas: Vec<Hpa>,
    /// Bindings of the Service.
    pub bindings: Vec<Binding>,
    /// Labels of the namespace (readiness gate injection).
    pub namespace_labels: BTreeMap<String, String>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name.
    pub name: String,
    /// Ports as (name, number).
    pub ports: Vec<(Option<String>, u16)>,
    /// Selector.
    pub selector: BTreeMap<String, String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Name.
    pub name: String,
    /// Address, where it has one.
    pub ip: Option<String>,
    /// Condition `Ready`.
    pub ready: bool,
    /// Types of its readiness gates.
    pub readiness_gates: Vec<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Restarts of its containers in total.
    #[serde(default)]
    pub restarts: u32,
    /// When a container last restarted, if known.
    pub restarted: Option<Timestamp>,
}

/// A Deployment or StatefulSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodOwner {
    /// `Deployment`, `StatefulSet`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `status.updatedReplicas` of the present version; `None`: not known, or its controller has not observed the
    /// present version yet.
    pub updated: Option<u32>,
    /// The GitOps owner that its labels and annotations name, such as `Argo CD`; `None`: none found.
    pub managed_by: Option<String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hpa {
    /// Name.
    pub name: String,
    /// The object that it scales, such as `Deployment/webapp`.
    pub target: String,
    /// `spec.minReplicas` (1 if absent).
    pub min: u32,
    /// `spec.maxReplicas`.
    pub max: u32,
    /// `status.currentReplicas`.
    pub current: u32,
    /// `status.desiredReplicas`.
    pub desired: u32,
}
