//! The JSON shape of a record, without its checksum.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::run::event::{Event, Record, VERSION};

/// A record with the layout of its JSON.
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
