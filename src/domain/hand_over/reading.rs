//! Represents what one cluster says about an item.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An item as read from one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemReading {
    /// How much of the item shall run: the replicas of a worker; 1 for a CronJob or an object of KEDA that is on. 0 means
    /// stopped.
    pub wanted: u32,
    /// The number of its Jobs or pods that have not ended.
    pub running: u32,
    /// The resourceVersion of the object. A write that carries it fails if the object has changed since.
    pub version: String,
    /// The mark of the run that wrote the item last.
    pub claim: Option<Claim>,
    /// The times of a CronJob.
    pub timetable: Option<Timetable>,
    /// The tool that manages the object and would undo a change, such as `Argo CD`.
    pub owner: Option<String>,
}

/// The times of a CronJob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// The schedule (`spec.schedule`).
    pub schedule: String,
    /// The time zone (`spec.timeZone`).
    pub zone: Option<String>,
    /// When the CronJob last started a Job (`status.lastScheduleTime`).
    pub last: Option<Timestamp>,
    /// When the CronJob was created.
    pub created: Timestamp,
}

/// The mark of a run on an object: the annotation `cutover.dev/handover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The run that wrote the object.
    pub run: String,
    /// The value before the write: the replicas, or 1 for on and 0 for off.
    pub was: u32,
    /// The time of the write. It differs for each write, so that a late write of an earlier version fails.
    pub at: Timestamp,
}
