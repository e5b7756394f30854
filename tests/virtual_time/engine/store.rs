//! A store that crashes its process at a chosen record: right after the record, or in the middle of its line.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::run::event::{Event, Record};
use cutover::port::store::{Heartbeat, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError};
use jiff::Timestamp;

/// The panic that represents the death of the process.
pub struct Crash;

/// How the process dies at a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The record is complete, and nothing happened after it.
    After,
    /// Half of the record's line is written; everything before it has happened.
    Torn,
}

/// Selects the event after which the process dies.
type EventFilter = fn(&Event) -> bool;

/// A store in memory that gives access to all its records.
#[derive(Clone, Default)]
pub struct CrashingStore {
    pub memory: MemoryStore,
    records: Arc<Mutex<Vec<Record>>>,
    /// Break-glass scripts, each with the number of records when it was written.
    pub scripts: Arc<Mutex<Vec<(usize, String)>>>,
    death: Arc<Mutex<Option<(u64, Death)>>>,
    fatal_event: Arc<Mutex<Option<EventFilter>>>,
}

impl CrashingStore {
    /// Sets the number of the record at which the process dies; `None` means never.
    pub fn dies_at(&self, death: Option<(u64, Death)>) {
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = death;
    }

    /// Sets the event after whose first record the process dies; `None` means never.
    pub fn dies_on(&self, fatal_event: Option<EventFilter>) {
        *self.fatal_event.lock().unwrap_or_else(PoisonError::into_inner) = fatal_event;
    }

    /// Returns the records so far.
    pub fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for CrashingStore {
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let before = self.memory.journal(run).len();
        let record = self.memory.append(run, time, event).await?;
        let death = *self.death.lock().unwrap_or_else(PoisonError::into_inner);
        let death = death.filter(|(seq, _)| *seq == record.seq).map(|(_, how)| how);
        if death == Some(Death::Torn) {
            let mut bytes = self.memory.journal(run);
            bytes.truncate(before.midpoint(bytes.len()));
            self.memory.set_journal(run, bytes);
            resume_unwind(Box::new(Crash));
        }
        self.records().push(record.clone());
        let fatal_event = *self.fatal_event.lock().unwrap_or_else(PoisonError::into_inner);
        if death.is_some() || fatal_event.is_some_and(|fits| fits(event)) {
            resume_unwind(Box::new(Crash));
        }
        Ok(record)
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
    async fn create(&self, run: &str) -> Result<(), StoreError> {
        self.memory.create(run).await
    }
    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        self.memory.read(run).await
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
    async fn put_script(&self, _: &str, text: &str) -> Result<Option<String>, StoreError> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner).push((self.records().len(), text.to_owned()));
        Ok(None)
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
