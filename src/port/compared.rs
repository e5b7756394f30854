//! The interface that connects to one cluster for a comparison.

use std::sync::Arc;

use async_trait::async_trait;

use super::{ClusterObjects, ClusterPlatform};
use crate::domain::traffic::Unreadable;

/// The connections to one cluster for a comparison.
#[derive(Clone)]
pub struct ClusterConnections {
    /// The Kubernetes API, or the reason why there is no connection.
    pub objects: Result<Arc<dyn ClusterObjects>, Unreadable>,
    /// AWS; `None` if the cluster is not known to be an EKS cluster.
    pub platform: Option<Arc<dyn ClusterPlatform>>,
}

/// A cluster that a comparison reads.
#[async_trait]
pub trait ComparedCluster: Send + Sync {
    /// Returns the connections to the cluster, and connects if there is no connection yet.
    async fn connect(&self) -> ClusterConnections;
}

#[async_trait]
impl ComparedCluster for ClusterConnections {
    async fn connect(&self) -> ClusterConnections {
        self.clone()
    }
}
