//! The access to the items of a hand-over that connects at the first call. A run without such items never connects.

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::K8s;
use crate::domain::hand_over::{ItemId, ItemKind, ItemReading};
use crate::domain::traffic::Unreadable;
use crate::port::{ClusterItems, ItemWrite, WriteError};

/// Opens a connection to a cluster.
pub type ConnectItems = Box<dyn Fn() -> BoxFuture<'static, Result<K8s, Unreadable>> + Send + Sync>;

/// The access to the items of a cluster that connects at its first call, and again after a failure.
pub struct LazyItems {
    connect: ConnectItems,
    connected: OnceCell<K8s>,
}

impl LazyItems {
    /// Creates the access without connecting.
    pub fn new(connect: ConnectItems) -> Self {
        Self { connect, connected: OnceCell::new() }
    }

    async fn cluster(&self) -> Result<&K8s, Unreadable> {
        self.connected.get_or_try_init(|| (self.connect)()).await
    }
}

#[async_trait]
impl ClusterItems for LazyItems {
    async fn uid(&self) -> Result<String, Unreadable> {
        self.cluster().await?.uid().await
    }

    async fn select(&self, kind: ItemKind, namespace: &str, labels: &str) -> Result<Vec<String>, Unreadable> {
        self.cluster().await?.select(kind, namespace, labels).await
    }

    async fn read(&self, item: &ItemId) -> Result<ItemReading, Unreadable> {
        self.cluster().await?.read(item).await
    }

    async fn write(&self, item: &ItemId, write: &ItemWrite) -> Result<bool, WriteError> {
        match self.cluster().await {
            Ok(cluster) => cluster.write(item, write).await,
            Err(why) => Err(WriteError::NotSent(why.to_string())),
        }
    }

    async fn may_set_last_schedule(&self, item: &ItemId) -> Result<bool, Unreadable> {
        self.cluster().await?.may_set_last_schedule(item).await
    }
}
