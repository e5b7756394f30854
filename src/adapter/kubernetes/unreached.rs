//! A cluster that could not be reached: every call returns the reason. So a caller that does not need the cluster is
//! not blocked. Do not connect again here.

use async_trait::async_trait;

use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;
use crate::port::{Cluster, WriteError};

/// A cluster that could not be reached, with the reason.
#[derive(Debug, Clone)]
pub struct Unreached(pub Unreadable);

#[async_trait]
impl Cluster for Unreached {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        Err(self.0.clone())
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        services.iter().map(|_| Err(self.0.clone())).collect()
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        Err(self.0.clone())
    }

    async fn apply(&self, _: &Binding, _: bool) -> Result<Vec<String>, WriteError> {
        Err(WriteError::Refused(self.0.to_string()))
    }

    async fn delete(&self, _: &Binding) -> Result<(), WriteError> {
        Err(WriteError::Refused(self.0.to_string()))
    }
}
