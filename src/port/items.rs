//! The interface to the items of a hand-over in one Kubernetes cluster.

use async_trait::async_trait;
use jiff::Timestamp;

use super::WriteError;
use crate::domain::hand_over::{Claim, ItemId, ItemKind, ItemReading};
use crate::domain::traffic::Unreadable;

/// Reads and writes CronJobs, workers and objects of KEDA in one cluster.
#[async_trait]
pub trait ClusterItems: Send + Sync {
    /// Reads the UID of the cluster.
    async fn uid(&self) -> Result<String, Unreadable>;
    /// Reads the names of the objects of a kind in a namespace with these labels, in order.
    async fn select(&self, kind: ItemKind, namespace: &str, labels: &str) -> Result<Vec<String>, Unreadable>;
    /// Reads an item, and how much of it runs.
    async fn read(&self, item: &ItemId) -> Result<ItemReading, Unreadable>;
    /// Stops or starts an item. Returns `false` if the object has changed since it was read; then nothing was started or
    /// stopped.
    async fn write(&self, item: &ItemId, write: &ItemWrite) -> Result<bool, WriteError>;
    /// Asks the cluster, without a change, whether the caller may set `status.lastScheduleTime` of a CronJob.
    async fn may_set_last_schedule(&self, item: &ItemId) -> Result<bool, Unreadable>;
}

/// A write of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemWrite {
    /// The resourceVersion that was read.
    pub version: String,
    /// The value to set: the replicas, or 1 for on; 0 stops the item.
    pub set: u32,
    /// The mark of the run.
    pub claim: Claim,
    /// The `lastScheduleTime` to set before a CronJob is resumed.
    pub last_schedule: Option<Timestamp>,
}
