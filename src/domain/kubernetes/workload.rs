//! What a cluster looks like to the rules: plain values that the adapter fills from a Kubernetes API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::binding::Binding;

/// Who a cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// UID of the namespace `kube-system`: the cluster's own identity.
    pub uid: String,
    /// Git version of the API server, such as `v1.33.4-eks-1`.
    pub version: String,
    /// The API group of TargetGroupBinding that it serves (`elbv2.k8s.aws/v1beta1`, or `eks.amazonaws.com/v1` in Auto Mode); `None`: neither.
    pub binding_api: Option<String>,
}

/// All that a workload has in one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    /// The Service; `None`: it does not exist.
    pub service: Option<Service>,
    /// Pods that its selector selects.
    pub pods: Vec<Pod>,
    /// Deployments and StatefulSets that own them.
    pub owners: Vec<Owner>,
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
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Restarts of its containers, all told.
    #[serde(default)]
    pub restarts: u32,
    /// When a container was last started again, where that is known.
    #[serde(default)]
    pub restarted: Option<Timestamp>,
}

/// A Deployment or StatefulSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `Deployment`, `StatefulSet`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `status.updatedReplicas`, of the present version; `None`: not counted, or by a controller that has not seen the present version.
    #[serde(default)]
    pub updated: Option<u32>,
    /// Labels and annotations that name a GitOps owner, such as `Argo CD`; `None`: none seen.
    pub managed_by: Option<String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hpa {
    /// Name.
    pub name: String,
    /// `Deployment/webapp`.
    pub target: String,
    /// `spec.minReplicas` (1 where absent).
    pub min: u32,
    /// `spec.maxReplicas`.
    pub max: u32,
    /// `status.currentReplicas`.
    pub current: u32,
    /// `status.desiredReplicas`.
    pub desired: u32,
}
