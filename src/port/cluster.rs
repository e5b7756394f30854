//! One Kubernetes cluster.

use async_trait::async_trait;

use super::WriteError;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;

/// One Kubernetes cluster: its identity, its workloads, and its TargetGroupBindings.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// The cluster's identity and version.
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable>;
    /// The objects of some workloads, in the order of `services`. Objects of a namespace are read once.
    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>>;
    /// Every binding of the cluster, in all namespaces.
    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable>;
    /// Server-side apply without force, with this tool's field manager and strict validation. `dry_run` runs the
    /// webhooks and changes nothing. Returns the fields of `spec` that were left out because the cluster's schema does
    /// not have them: only fields whose value the controller takes from the target group anyway.
    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError>;
    /// Deletes a binding that was just read, if it has not changed since. It stays visible until its controller has
    /// deregistered its targets.
    async fn delete(&self, found: &Binding) -> Result<(), WriteError>;
}
