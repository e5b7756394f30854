//! One Kubernetes cluster.

use async_trait::async_trait;

use super::WriteError;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{Identity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;

/// One Kubernetes cluster: its identity, its workloads, and its TargetGroupBindings.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Who it is.
    async fn identity(&self) -> Result<Identity, Unreadable>;
    /// What some workloads have there, in their order. What belongs to a whole namespace is asked for once.
    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>>;
    /// Every binding of the cluster, in all namespaces.
    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable>;
    /// Server-side apply without force, under our own field manager; `dry_run` runs the webhooks and changes nothing.
    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<(), WriteError>;
    /// Deletes a binding that was just read, if it is still as it was. It is there until its controller has deregistered its targets.
    async fn delete(&self, found: &Binding) -> Result<(), WriteError>;
}
