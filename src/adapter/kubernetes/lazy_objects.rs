//! The objects of a cluster that connects at the first read, and again after a failure. Do not retry calls here.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::domain::compare::Object;
use crate::domain::compare::facts::KindApi;
use crate::domain::traffic::Unreadable;
use crate::port::ClusterObjects;

/// Opens a connection to a cluster.
pub type ConnectObjects =
    Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn ClusterObjects>, Unreadable>> + Send + Sync>;

/// The objects of a cluster that is connected when they are needed.
pub struct LazyObjects {
    connect: ConnectObjects,
    connected: OnceCell<Arc<dyn ClusterObjects>>,
}

impl LazyObjects {
    /// Creates the objects without connecting.
    pub fn new(connect: ConnectObjects) -> Self {
        Self { connect, connected: OnceCell::new() }
    }

    async fn objects_of(&self) -> Result<&Arc<dyn ClusterObjects>, Unreadable> {
        self.connected.get_or_try_init(|| (self.connect)()).await
    }
}

#[async_trait]
impl ClusterObjects for LazyObjects {
    async fn version(&self) -> Result<String, Unreadable> {
        self.objects_of().await?.version().await
    }

    async fn served(&self) -> Result<BTreeSet<String>, Unreadable> {
        self.objects_of().await?.served().await
    }

    async fn objects(&self, api: &KindApi, namespace: Option<&str>) -> Result<Vec<Object>, Unreadable> {
        self.objects_of().await?.objects(api, namespace).await
    }

    async fn secret_keys(&self, namespace: &str, name: &str) -> Result<Option<u64>, Unreadable> {
        self.objects_of().await?.secret_keys(namespace, name).await
    }

    /// Returns nothing before the first read that connects.
    fn own_names(&self) -> Vec<String> {
        self.connected.get().map(|connected| connected.own_names()).unwrap_or_default()
    }
}
