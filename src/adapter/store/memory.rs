//! A store in memory, for rehearsals and simulations. Journals have the same bytes as on disk, so that tests can
//! truncate and corrupt them. A store outlives the simulated processes of a program. It can simulate a full disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::adapter::store::is_run_id;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{DamagedJournal, format_line, parse};
use crate::port::store::{
    Heartbeat, LockBackend, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError, runs_named,
};

/// A store in memory. Clones share the contents.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    runs: BTreeMap<String, RunData>,
    /// The acquisition number and the owner of each lock, by load balancer.
    locks: HashMap<String, (u64, LockOwner)>,
    acquisitions: u64,
    requests: u64,
    full: bool,
}

#[derive(Debug, Default)]
struct RunData {
    journal: Vec<u8>,
    /// The number and the checksum of the last record; `None` if they were not read yet. A long rehearsal appends
    /// thousands of records and must not parse the journal each time.
    last: Option<(u64, String)>,
    requests: BTreeMap<String, Request>,
    heartbeat: Option<Heartbeat>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every append and request fail as on a full disk (`true`), or succeed again (`false`).
    pub fn set_full(&self, full: bool) {
        self.contents().full = full;
    }

    /// Returns the bytes of a run's journal; empty if the run does not exist.
    pub fn journal(&self, run: &str) -> Vec<u8> {
        self.contents().runs.get(run).map(|f| f.journal.clone()).unwrap_or_default()
    }

    /// Replaces the bytes of a run's journal, as a crash or a bad disk does. Creates the run if it does not exist.
    pub fn set_journal(&self, run: &str, bytes: Vec<u8>) {
        let mut contents = self.contents();
        // The records may name earlier requests, so a later request must get another name.
        contents.requests += bytes.split(|byte| *byte == b'\n').count() as u64;
        let run_data = contents.runs.entry(run.to_owned()).or_default();
        (run_data.journal, run_data.last) = (bytes, None);
    }

    /// Removes a run.
    pub fn remove(&self, run: &str) {
        self.contents().runs.remove(run);
    }

    /// Adds an operator request without waiting.
    pub fn add_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        let mut contents = self.contents();
        contents.check_space()?;
        contents.requests += 1;
        let name = format!("{:020}", contents.requests);
        contents.run_data(run)?.requests.insert(name, request.clone());
        Ok(())
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, load_balancers: &[String], holder: &LockOwner, take_over: bool) -> Result<LockGuard, LockError> {
        let mut contents = self.contents();
        if let Some((_, other)) = load_balancers.iter().find_map(|lb| contents.locks.get(lb)).filter(|_| !take_over) {
            return Err(LockError::HeldBy(Box::new(other.clone())));
        }
        contents.acquisitions += 1;
        let acquisition = contents.acquisitions;
        contents.locks.extend(load_balancers.iter().map(|lb| (lb.clone(), (acquisition, holder.clone()))));
        Ok(LockGuard::new(MemoryLock { store: self.clone(), load_balancers: load_balancers.to_vec(), acquisition }))
    }
}

/// The locks of one acquisition.
struct MemoryLock {
    store: MemoryStore,
    load_balancers: Vec<String>,
    acquisition: u64,
}

impl MemoryLock {
    fn release_all(&self) {
        self.store.contents().locks.retain(|_, (acquisition, _)| *acquisition != self.acquisition);
    }
}

#[async_trait]
impl LockBackend for MemoryLock {
    fn new_owner(&self) -> Option<LockOwner> {
        let contents = self.store.contents();
        self.load_balancers
            .iter()
            .find_map(|lb| contents.locks.get(lb).filter(|(t, _)| *t != self.acquisition).map(|(_, h)| h.clone()))
    }

    fn expiry(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        self.new_owner().is_none()
    }

    async fn release(&self) {
        self.release_all();
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.release_all();
    }
}

impl RunData {
    fn append(&mut self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let (seq, sum) = match self.last.take() {
            Some(last) => last,
            None => self.catch_up(run)?,
        };
        let record = Record::new(seq + 1, time, run, event.clone());
        let (text, sum) = format_line(&sum, &record).map_err(|e| StoreError::Io {
            path: run.to_owned(),
            message: format!("the record cannot be written as JSON: {e}"),
        })?;
        self.journal.extend_from_slice(text.as_bytes());
        self.last = Some((record.seq, sum));
        Ok(record)
    }

    /// Removes an incomplete record, completes an open line, and returns the number and the checksum of the last
    /// record.
    fn catch_up(&mut self, run: &str) -> Result<(u64, String), StoreError> {
        let parsed = parse(&self.journal).map_err(|c| StoreError::corrupt(run.to_owned(), &c))?;
        self.journal.truncate(parsed.valid_bytes);
        if parsed.unterminated {
            self.journal.push(b'\n');
        }
        Ok((parsed.records.len() as u64, parsed.last_checksum().to_owned()))
    }
}

impl Contents {
    fn run_data(&mut self, run: &str) -> Result<&mut RunData, StoreError> {
        self.runs.get_mut(run).ok_or_else(|| StoreError::NoSuchRun { run: run.to_owned(), place: "memory".into() })
    }

    fn check_space(&self) -> Result<(), StoreError> {
        if self.full { Err(StoreError::Full("memory".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".into()
    }

    fn is_durable(&self) -> bool {
        false
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        let mut contents = self.contents();
        contents.check_space()?;
        if !is_run_id(run) {
            return Err(StoreError::Io { path: self.location(), message: format!("`{run}` is not a valid run id") });
        }
        if contents.runs.contains_key(run) {
            return Err(StoreError::Exists(run.to_owned()));
        }
        contents.runs.insert(run.to_owned(), RunData::default());
        Ok(())
    }

    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let mut contents = self.contents();
        contents.check_space()?;
        contents.run_data(run)?.append(run, time, &super::without_credentials(event))
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        parse(&self.contents().run_data(run)?.journal)
            .map(|p| Arc::new(p.records))
            .map_err(|c| StoreError::corrupt(run.to_owned(), &c))
    }

    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let contents = self.contents();
        let summary = |(id, run_data): (&String, &RunData)| match parse(&run_data.journal) {
            Ok(parsed) => RunSummary::of(id, &parsed.records),
            Err(DamagedJournal { line, why, prefix }) => {
                RunSummary { damaged: Some(format!("line {line}: {why}")), ..RunSummary::of(id, &prefix) }
            }
        };
        let mut runs: Vec<_> =
            contents.runs.iter().map(summary).filter(|r| r.started.is_some() || r.damaged.is_some()).collect();
        runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.id.cmp(&a.id)));
        Ok(runs)
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        Ok(runs_named(self.runs().await?, reference))
    }

    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        self.add_request(run, request)
    }

    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        Ok(self
            .contents()
            .run_data(run)?
            .requests
            .iter()
            .map(|(name, request)| (name.clone(), request.clone()))
            .collect())
    }

    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        self.contents().run_data(run)?.requests.remove(name);
        Ok(())
    }

    async fn put_heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<(), StoreError> {
        self.contents().run_data(run)?.heartbeat = Some(heartbeat.clone());
        Ok(())
    }

    async fn heartbeat(&self, run: &str) -> Option<Heartbeat> {
        self.contents().run_data(run).ok()?.heartbeat.clone()
    }

    async fn put_script(&self, _: &str, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.acquire(load_balancers, holder, false)
    }

    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.acquire(load_balancers, holder, true)
    }

    async fn lock_owner(&self, run: &str) -> Option<LockOwner> {
        self.contents().locks.values().map(|(_, holder)| holder).find(|h| h.run == run).cloned()
    }
}
