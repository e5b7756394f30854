//! Folds the events of a run into the progress of its items. The values of the events are part of the journal's format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::ItemId;
use crate::domain::traffic::ClusterName;

/// An item of a `handOver` step, as the run found it at its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemStart {
    /// The number of the step, from 1.
    pub step: usize,
    /// The item.
    pub item: ItemId,
}

/// An item is about to be stopped or started in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemIntent {
    /// The number of the step that hands the item over, from 1.
    pub step: usize,
    /// The item.
    pub item: ItemId,
    /// The cluster of the write.
    pub cluster: ClusterName,
    /// The value that the write expects; `None` means any value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<u32>,
    /// The value to set: the replicas, or 1 for on. 0 stops the item.
    pub set: u32,
    /// The value that the item had in the old cluster before the hand-over.
    pub count: u32,
}

/// A write of an item has a result, or the item needs no write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemOutcome {
    /// The number of the step that hands the item over, from 1.
    pub step: usize,
    /// The item.
    pub item: ItemId,
    /// The cluster of the write.
    pub cluster: ClusterName,
    /// The result.
    pub result: ItemResult,
    /// The value that was read back; the value that was intended if nothing was read.
    pub value: u32,
    /// The `lastScheduleTime` that was set, so that a CronJob starts no missed schedule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_schedule: Option<Timestamp>,
    /// The reason, if the result is not `applied`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// The result of a write of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemResult {
    /// The write was sent and read back.
    Applied,
    /// The item needs no write.
    Already,
    /// Another tool has moved the item (`mode: verify`).
    Verified,
    /// The write was not sent, got no response, or was not read back. It may still take effect.
    Unknown,
    /// The API refused the write. The item did not change.
    Failed,
}

/// Nothing of a stopped item runs any more in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemDrained {
    /// The number of the step that hands the item over, from 1.
    pub step: usize,
    /// The item.
    pub item: ItemId,
    /// The cluster in which the item was stopped.
    pub cluster: ClusterName,
    /// The operator who said so without a reading (`--assume-stopped`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assumed_by: Option<String>,
}

/// The items of a run that are handed over or were touched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Items(BTreeMap<ItemId, ItemProgress>);

/// The progress of one item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemProgress {
    /// The number of the step that hands the item over.
    pub step: usize,
    /// The value that the item had in the old cluster before the hand-over.
    pub count: u32,
    /// The last write in each cluster.
    pub sides: BTreeMap<ClusterName, Side>,
    /// Whether the item needed no write, or another tool moved it.
    pub settled: Option<ItemResult>,
}

/// The last write of an item in one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The value that was intended.
    pub set: u32,
    /// The result; `None` while the write has none.
    pub result: Option<ItemResult>,
    /// When this value was first intended.
    pub since: Timestamp,
    /// The time of the last event of this side. Older readings do not count.
    pub at: Timestamp,
    /// The reason of the result.
    pub detail: Option<String>,
    /// Whether nothing of the stopped item runs any more.
    pub drained: bool,
}

impl Side {
    /// Whether the value was read back.
    pub fn is_done(&self) -> bool {
        matches!(self.result, Some(ItemResult::Applied | ItemResult::Already))
    }
}

impl Items {
    /// Returns the progress of an item; `None` if the run has not touched it.
    pub fn get(&self, item: &ItemId) -> Option<&ItemProgress> {
        self.0.get(item)
    }

    /// Returns the items that the run has touched.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ItemId, &ItemProgress)> {
        self.0.iter()
    }

    /// Whether no item was written.
    pub fn is_untouched(&self) -> bool {
        self.0.values().all(|item| item.sides.is_empty())
    }

    /// Records an intent.
    pub fn intend(&mut self, intent: &ItemIntent, at: Timestamp) {
        let item = self.item(intent.step, &intent.item);
        item.count = intent.count;
        let before = item.sides.get(&intent.cluster).filter(|side| side.set == intent.set);
        let since = before.map_or(at, |side| side.since);
        let side = Side { set: intent.set, result: None, since, at, detail: None, drained: false };
        item.sides.insert(intent.cluster.clone(), side);
    }

    /// Records an outcome.
    pub fn finish(&mut self, outcome: &ItemOutcome, at: Timestamp) {
        let item = self.item(outcome.step, &outcome.item);
        match item.sides.get_mut(&outcome.cluster) {
            Some(side) => {
                (side.result, side.at) = (Some(outcome.result), at);
                side.detail.clone_from(&outcome.detail);
            }
            None => item.settled = Some(outcome.result),
        }
    }

    /// Records that nothing of a stopped item runs any more in a cluster. An operator may say so of a cluster in which the
    /// item could not be stopped.
    pub fn drain(&mut self, drained: &ItemDrained, at: Timestamp) {
        let item = self.item(drained.step, &drained.item);
        let side = item.sides.entry(drained.cluster.clone()).or_insert_with(|| Side {
            set: 0,
            result: None,
            since: at,
            at,
            detail: None,
            drained: false,
        });
        (side.set, side.result, side.drained, side.at) = (0, Some(ItemResult::Applied), true, at);
    }

    /// Lets the refused writes be sent again.
    pub fn retry(&mut self, at: Timestamp) {
        for side in self.0.values_mut().flat_map(|item| item.sides.values_mut()) {
            if side.result == Some(ItemResult::Failed) {
                (side.result, side.at) = (Some(ItemResult::Unknown), at);
            }
        }
    }

    fn item(&mut self, step: usize, item: &ItemId) -> &mut ItemProgress {
        self.0.entry(item.clone()).or_insert_with(|| ItemProgress {
            step,
            count: 0,
            sides: BTreeMap::new(),
            settled: None,
        })
    }
}
