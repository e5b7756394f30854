//! Defines the JSON layout of a record, without the checksum.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::run::event::{Event, Record, VERSION};

/// A record that serializes to its JSON layout.
#[derive(Serialize)]
pub(super) struct FlatRecord<'a> {
    v: u32,
    seq: u64,
    time: Timestamp,
    run: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> FlatRecord<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        Self { v: VERSION, seq: record.seq, time: record.time, run: &record.run, event: &record.event }
    }
}
