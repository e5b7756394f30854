//! The interface to one Kubernetes cluster.

use async_trait::async_trait;

use super::WriteError;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;

/// One Kubernetes cluster. Reads the cluster's identity and workloads; reads and writes its TargetGroupBindings.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Reads the identity and the version of the cluster.
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable>;
    /// Reads the objects of these workloads. Returns one result for each of `services`, in the same order. Reads the
    /// objects of a namespace only once.
    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>>;
    /// Reads all TargetGroupBindings of the cluster, in all namespaces.
    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable>;
    /// Applies a TargetGroupBinding by server-side apply, without force, with this tool's field manager and strict
    /// validation. `dry_run` calls the webhooks and changes nothing. Returns the fields of `spec` that were left out
    /// because the cluster's schema does not have them. The controller reads the values of these fields from the target
    /// group.
    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError>;
    /// Deletes a TargetGroupBinding that was just read, if it has not changed since. The object stays visible until its
    /// controller has deregistered its targets.
    async fn delete(&self, found: &Binding) -> Result<(), WriteError>;
    /// Watches the EndpointSlices of these Services. Reports the number of ready endpoints of each Service at the start,
    /// and again whenever it changes. Runs until the watch fails, and returns the reason. Dropping the future ends the
    /// watch.
    async fn watch_endpoints(&self, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable;
}

/// Receives the number of ready endpoints of a Service.
pub type EndpointReport<'a> = dyn Fn(&ServiceRef, u32) + Send + Sync + 'a;
