//! Seeded bugs of waves, hand-overs and header routes: each is a wrong answer between the program and its ports, another
//! plan than the checker's, or a caller that forgets a part. The checker must find each of them.

use std::sync::Arc;

use async_trait::async_trait;
use cutover::domain::hand_over::{ItemId, ItemKind, ItemReading};
use cutover::domain::traffic::Unreadable;
use cutover::port::{ClusterItems, ItemWrite, WriteError};

/// A seeded bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A wave that was rolled back counts as done.
    RolledBackIsDone,
    /// A wave whose run is unfinished counts as done.
    UnfinishedIsDone,
    /// The plan's pause between two waves is left out.
    NoPauseBetween,
    /// The waves run in another order than that of the plan.
    OtherOrder,
    /// Nobody guards the waves that are done.
    FinishedWavesUnguarded,
    /// `rollback --all` leaves the first wave.
    RollbackForgetsFirstWave,
    /// `rollback --all` begins with the first wave.
    RollbackFirstWaveFirst,
    /// A header rule counts as removed, and stays.
    KeepsHeaderRules,
    /// A header rule has no login, and its route has one.
    HeaderRuleWithoutLogin,
    /// Nothing of an item seems to run.
    SeesNothingRun,
    /// The time of the last schedule is not set.
    ForgetsSchedule,
}

/// The items of a cluster, with a bug.
pub struct BlindItems {
    pub inner: Arc<dyn ClusterItems>,
    pub bug: Bug,
}

#[async_trait]
impl ClusterItems for BlindItems {
    async fn uid(&self) -> Result<String, Unreadable> {
        self.inner.uid().await
    }
    async fn select(&self, kind: ItemKind, namespace: &str, labels: &str) -> Result<Vec<String>, Unreadable> {
        self.inner.select(kind, namespace, labels).await
    }
    async fn read(&self, item: &ItemId) -> Result<ItemReading, Unreadable> {
        let read = self.inner.read(item).await?;
        Ok(if self.bug == Bug::SeesNothingRun { ItemReading { running: 0, ..read } } else { read })
    }
    async fn write(&self, item: &ItemId, write: &ItemWrite) -> Result<bool, WriteError> {
        let mut write = write.clone();
        if self.bug == Bug::ForgetsSchedule {
            write.last_schedule = None;
        }
        self.inner.write(item, &write).await
    }
    async fn may_set_last_schedule(&self, item: &ItemId) -> Result<bool, Unreadable> {
        self.inner.may_set_last_schedule(item).await
    }
}
