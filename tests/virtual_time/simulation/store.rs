//! A store in memory that records what it stores. The process may die at any record.

use std::panic::resume_unwind;
use std::sync::Arc;

use async_trait::async_trait;
use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::run::event::{Event, Record};
use cutover::port::store::{Heartbeat, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError};
use jiff::Timestamp;

use super::history::EntryContent;
use super::wire::{Crash, Wire};

/// A store in memory whose appends and reads are recorded.
#[derive(Clone)]
pub struct RecordingStore {
    pub memory: MemoryStore,
    pub wire: Wire,
}

#[async_trait]
impl Store for RecordingStore {
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        if self.wire.crashes_before_append() {
            self.tear(run, time, event).await;
            resume_unwind(Box::new(Crash));
        }
        let record = self.memory.append(run, time, event).await?;
        self.wire.note(EntryContent::Journalled(record.clone()));
        self.wire.after_append();
        Ok(record)
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        let read = self.memory.read(run).await;
        let believed = read.as_ref().map(|records| records.len()).map_err(ToString::to_string);
        self.wire.note(EntryContent::Opened { bytes: self.memory.journal(run), read: believed });
        read
    }

    fn location(&self) -> String {
        self.memory.location()
    }
    fn is_durable(&self) -> bool {
        true
    }
    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        self.memory.find(reference).await
    }
    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError> {
        self.memory.put_script(run, text).await
    }
    async fn create(&self, run: &str) -> Result<(), StoreError> {
        self.memory.create(run).await
    }
    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.memory.runs().await
    }
    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        self.memory.put_request(run, request).await
    }
    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        self.memory.requests(run).await
    }
    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        self.memory.drop_request(run, name).await
    }
    async fn put_heartbeat(&self, run: &str, look: &Heartbeat) -> Result<(), StoreError> {
        self.memory.put_heartbeat(run, look).await
    }
    async fn heartbeat(&self, run: &str) -> Option<Heartbeat> {
        self.memory.heartbeat(run).await
    }
    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.memory.lock(load_balancers, holder).await
    }
    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.memory.take_over(load_balancers, holder).await
    }
    async fn lock_owner(&self, run: &str) -> Option<LockOwner> {
        self.memory.lock_owner(run).await
    }
}

impl RecordingStore {
    /// Writes a part of the record's line before a crash: nothing, half, or all except the newline.
    async fn tear(&self, run: &str, time: Timestamp, event: &Event) {
        let before = self.memory.journal(run).len();
        let Ok(record) = self.memory.append(run, time, event).await else { return };
        let mut bytes = self.memory.journal(run);
        let cut = match bytes.len() % 3 {
            0 => before,
            1 => before.midpoint(bytes.len()),
            _ => {
                self.wire.note(EntryContent::Journalled(record));
                bytes.len() - 1
            }
        };
        bytes.truncate(cut);
        self.memory.set_journal(run, bytes);
    }
}
