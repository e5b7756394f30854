//! Reads, stops and starts the items of a hand-over. Decisions about items are in `domain::hand_over`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::hand_over::{
    Claim, ItemIntent, ItemOutcome, ItemPlace, ItemReading, ItemResult, RETRY, Readings, without_missed,
};
use crate::domain::traffic::{Reading, Unreadable};
use crate::plan::model::ClusterName;
use crate::port::{Clock, ClusterItems, ItemWrite, WriteError};

/// The access to the items of each cluster.
pub type ItemPorts = BTreeMap<ClusterName, Arc<dyn ClusterItems>>;

/// The number of times that a write is sent when the object changes between the read and the write.
const TRIES: usize = 4;

/// Reads items. A failed read is part of the result.
pub async fn read(ports: &ItemPorts, clock: &dyn Clock, places: &[ItemPlace]) -> Readings {
    let all = places.iter().map(|place| async move { (place.clone(), read_one(ports, clock, place).await) });
    futures::future::join_all(all).await.into_iter().collect()
}

async fn read_one(ports: &ItemPorts, clock: &dyn Clock, (cluster, item): &ItemPlace) -> Reading<ItemReading> {
    let asked = clock.now();
    let value = match ports.get(cluster) {
        Some(port) => port.read(item).await,
        None => Err(Unreadable::Setup(format!("the plan gives no access to cluster {cluster}"))),
    };
    // A slow response is not older than the time that the run waits between two readings.
    let slow = clock.now().duration_since(asked).unsigned_abs() >= RETRY / 2;
    Reading { at: if slow { clock.now() } else { asked }, value }
}

/// Represents the ports and settings that every write of an item uses.
pub struct Writer<'a> {
    /// The access to the items of each cluster.
    pub ports: &'a ItemPorts,
    /// The clock of the run.
    pub clock: &'a dyn Clock,
    /// The UIDs of the clusters at the start of the run. A cluster with another UID is never written to.
    pub pinned: &'a BTreeMap<ClusterName, String>,
    /// The last readings.
    pub readings: &'a Readings,
    /// The id of the run.
    pub run: &'a str,
}

impl Writer<'_> {
    /// Stops or starts an item, and reads it back. Returns the outcome, and the reading if there is one.
    pub async fn carry_out(&self, intent: &ItemIntent) -> (ItemOutcome, Option<Reading<ItemReading>>) {
        let outcome = |result, value, detail: Option<String>| ItemOutcome {
            step: intent.step,
            item: intent.item.clone(),
            cluster: intent.cluster.clone(),
            result,
            value,
            last_schedule: None,
            detail,
        };
        let unknown = |why: String| (outcome(ItemResult::Unknown, intent.set, Some(why)), None);
        let failed = |why: String| (outcome(ItemResult::Failed, intent.set, Some(why)), None);
        let Some(port) = self.ports.get(&intent.cluster) else {
            return failed(format!("the plan gives no access to cluster {}", intent.cluster));
        };
        if let Some(pinned) = self.pinned.get(&intent.cluster) {
            match port.uid().await {
                Ok(uid) if uid == *pinned => {}
                Ok(uid) => {
                    let kind = "is not the cluster that the run started with";
                    return failed(format!("cluster {} {kind}: its UID is {uid}", intent.cluster));
                }
                Err(why) => return unknown(format!("cluster {} cannot be read: {why}", intent.cluster)),
            }
        }
        for _ in 0..TRIES {
            let before = match port.read(&intent.item).await {
                Ok(before) => before,
                Err(Unreadable::NotFound(_)) => return failed(format!("it does not exist in {}", intent.cluster)),
                Err(why) => return unknown(why.to_string()),
            };
            if intent.expect.is_some_and(|expect| expect != before.wanted) {
                return unknown(format!("someone else has just changed it in {}", intent.cluster));
            }
            let now = self.clock.now();
            let write = ItemWrite {
                version: before.version.clone(),
                set: intent.set,
                claim: Claim { run: self.run.to_owned(), was: before.wanted, at: now },
                last_schedule: self.last_schedule(intent, &before, now),
            };
            match port.write(&intent.item, &write).await {
                Ok(true) => return self.read_back(&**port, intent, &write).await,
                Ok(false) => {}
                Err(WriteError::Refused(why) | WriteError::NotFound(why)) => return failed(why),
                Err(why) => return unknown(why.to_string()),
            }
        }
        unknown(format!("it changes all the time in {}", intent.cluster))
    }

    async fn read_back(
        &self,
        port: &dyn ClusterItems,
        intent: &ItemIntent,
        write: &ItemWrite,
    ) -> (ItemOutcome, Option<Reading<ItemReading>>) {
        let ItemIntent { step, item, cluster, set, .. } = intent.clone();
        let read = port.read(&item).await;
        let (result, value, detail) = match &read {
            Ok(after) if after.wanted == set => (ItemResult::Applied, set, None),
            Ok(after) => {
                let why = format!("someone else has just changed it in {cluster}");
                (ItemResult::Unknown, after.wanted, Some(why))
            }
            Err(why) => (ItemResult::Unknown, set, Some(format!("written, and not read back: {why}"))),
        };
        let last_schedule = write.last_schedule;
        let outcome = ItemOutcome { step, item, cluster, result, value, last_schedule, detail };
        (outcome, Some(Reading { at: self.clock.now(), value: read }))
    }

    /// Returns the `lastScheduleTime` with which a CronJob starts nothing that it missed.
    fn last_schedule(&self, intent: &ItemIntent, before: &ItemReading, now: Timestamp) -> Option<Timestamp> {
        let own = before.timetable.as_ref().filter(|_| intent.set > 0)?;
        let mut others =
            self.readings.iter().filter(|((cluster, item), _)| *cluster != intent.cluster && *item == intent.item);
        let other = others.find_map(|(_, reading)| reading.value.as_ref().ok()?.timetable.as_ref());
        Some(without_missed(own, other, now))
    }
}
