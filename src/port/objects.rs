//! The interface that reads objects of one Kubernetes cluster for a comparison.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::domain::compare::Object;
use crate::domain::compare::facts::{Candidate, DryRun, KindApi};
use crate::domain::traffic::Unreadable;

/// Reads the objects of one cluster. Changes nothing.
#[async_trait]
pub trait ClusterObjects: Send + Sync {
    /// Reads the version of the API server, such as `v1.33.4-eks-1`.
    async fn version(&self) -> Result<String, Unreadable>;
    /// Reads the API groups with their versions, such as `apps/v1`.
    async fn served(&self) -> Result<BTreeSet<String>, Unreadable>;
    /// Reads all objects of a kind, in a namespace or in the whole cluster. Returns [`Unreadable::NotFound`] if the
    /// cluster does not serve the kind.
    async fn objects(&self, api: &KindApi, namespace: Option<&str>) -> Result<Vec<Object>, Unreadable>;
    /// Reads the number of keys of a Secret, without any of its values or metadata; `None` if the Secret does not
    /// exist.
    async fn secret_keys(&self, namespace: &str, name: &str) -> Result<Option<u64>, Unreadable>;
    /// Returns texts that name this cluster, such as its name in EKS and its endpoint.
    fn own_names(&self) -> Vec<String>;
    /// Returns the name and the region of the cluster in EKS, if they are known.
    fn eks_name(&self) -> Option<(String, Option<String>)>;
    /// Sends an object to be created, as a dry-run with strict validation: admission runs, and nothing is persisted.
    /// [`Unreadable::Denied`]: the caller may not create such objects.
    async fn dry_run(&self, object: &Candidate) -> Result<DryRun, Unreadable>;
}
