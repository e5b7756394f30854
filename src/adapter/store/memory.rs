//! The store in memory, for rehearsals and simulations. Journals are the same bytes as on disk, so that tests can cut
//! and
//! corrupt them. A store outlives the simulated processes of a program. It can simulate a full disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::adapter::store::is_run_id;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{Corrupt, line, parse};
use crate::port::store::{Held, Holder, Lock, LockError, Look, Request, RunSummary, Store, StoreError, meant};

/// A store in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    runs: BTreeMap<String, Folder>,
    /// By load balancer: number of the acquisition, and the owner.
    locks: HashMap<String, (u64, Holder)>,
    takings: u64,
    requests: u64,
    full: bool,
}

#[derive(Debug, Default)]
struct Folder {
    journal: Vec<u8>,
    /// Number and checksum of the last record; `None`: not read yet. A long rehearsal appends thousands of records and
    /// must not
    /// parse the journal each time.
    last: Option<(u64, String)>,
    requests: BTreeMap<String, Request>,
    look: Option<Look>,
}

impl Memory {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every append and request fail as on a full disk, or ends that.
    pub fn set_full(&self, full: bool) {
        self.shelf().full = full;
    }

    /// Returns a journal's bytes; empty if there is no such run.
    pub fn journal(&self, run: &str) -> Vec<u8> {
        self.shelf().runs.get(run).map(|f| f.journal.clone()).unwrap_or_default()
    }

    /// Replaces a journal's bytes, as a crash or a bad disk does. Creates the run if it does not exist.
    pub fn set_journal(&self, run: &str, bytes: Vec<u8>) {
        let mut shelf = self.shelf();
        let folder = shelf.runs.entry(run.to_owned()).or_default();
        (folder.journal, folder.last) = (bytes, None);
    }

    /// Removes a run.
    pub fn remove(&self, run: &str) {
        self.shelf().runs.remove(run);
    }

    /// Adds an operator request, synchronously.
    pub fn ask(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        shelf.room()?;
        shelf.requests += 1;
        let name = format!("{:020}", shelf.requests);
        shelf.folder(run)?.requests.insert(name, request.clone());
        Ok(())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, load_balancers: &[String], holder: &Holder, over: bool) -> Result<Held, LockError> {
        let mut shelf = self.shelf();
        if let Some((_, other)) = load_balancers.iter().find_map(|lb| shelf.locks.get(lb)).filter(|_| !over) {
            return Err(LockError::HeldBy(Box::new(other.clone())));
        }
        shelf.takings += 1;
        let taking = shelf.takings;
        shelf.locks.extend(load_balancers.iter().map(|lb| (lb.clone(), (taking, holder.clone()))));
        Ok(Held::new(Taken { store: self.clone(), load_balancers: load_balancers.to_vec(), taking }))
    }
}

/// The locks of one acquisition.
struct Taken {
    store: Memory,
    load_balancers: Vec<String>,
    taking: u64,
}

impl Taken {
    fn free(&self) {
        self.store.shelf().locks.retain(|_, (taking, _)| *taking != self.taking);
    }
}

#[async_trait]
impl Lock for Taken {
    fn usurper(&self) -> Option<Holder> {
        let shelf = self.store.shelf();
        self.load_balancers
            .iter()
            .find_map(|lb| shelf.locks.get(lb).filter(|(t, _)| *t != self.taking).map(|(_, h)| h.clone()))
    }

    fn lapsed(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        self.usurper().is_none()
    }

    async fn release(&self) {
        self.free();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.free();
    }
}

impl Folder {
    fn append(&mut self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let (seq, sum) = match self.last.take() {
            Some(last) => last,
            None => self.catch_up(run)?,
        };
        let record = Record::new(seq + 1, time, run, event.clone());
        let (text, sum) = line(&sum, &record).map_err(|e| StoreError::Io {
            path: run.to_owned(),
            message: format!("the record cannot be written as JSON: {e}"),
        })?;
        self.journal.extend_from_slice(text.as_bytes());
        self.last = Some((record.seq, sum));
        Ok(record)
    }

    /// Cuts off a torn record, completes an open line, and returns number and checksum of the last record.
    fn catch_up(&mut self, run: &str) -> Result<(u64, String), StoreError> {
        let parsed = parse(&self.journal).map_err(|c| StoreError::corrupt(run.to_owned(), &c))?;
        self.journal.truncate(parsed.kept);
        if parsed.open {
            self.journal.push(b'\n');
        }
        Ok((parsed.records.len() as u64, parsed.sum().to_owned()))
    }
}

impl Shelf {
    fn folder(&mut self, run: &str) -> Result<&mut Folder, StoreError> {
        self.runs.get_mut(run).ok_or_else(|| StoreError::NoSuchRun { run: run.to_owned(), place: "memory".into() })
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.full { Err(StoreError::Full("memory".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        shelf.room()?;
        if !is_run_id(run) {
            return Err(StoreError::Io { path: self.place(), message: format!("`{run}` is not a valid run id") });
        }
        if shelf.runs.contains_key(run) {
            return Err(StoreError::Exists(run.to_owned()));
        }
        shelf.runs.insert(run.to_owned(), Folder::default());
        Ok(())
    }

    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let mut shelf = self.shelf();
        shelf.room()?;
        shelf.folder(run)?.append(run, time, &super::cleaned(event))
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        parse(&self.shelf().folder(run)?.journal)
            .map(|p| Arc::new(p.records))
            .map_err(|c| StoreError::corrupt(run.to_owned(), &c))
    }

    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let shelf = self.shelf();
        let summary = |(id, folder): (&String, &Folder)| match parse(&folder.journal) {
            Ok(parsed) => RunSummary::of(id, &parsed.records),
            Err(Corrupt { line, why, prefix }) => {
                RunSummary { damaged: Some(format!("line {line}: {why}")), ..RunSummary::of(id, &prefix) }
            }
        };
        let mut runs: Vec<_> =
            shelf.runs.iter().map(summary).filter(|r| r.started.is_some() || r.damaged.is_some()).collect();
        runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.id.cmp(&a.id)));
        Ok(runs)
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        Ok(meant(self.runs().await?, reference))
    }

    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        self.ask(run, request)
    }

    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        Ok(self.shelf().folder(run)?.requests.iter().map(|(name, request)| (name.clone(), request.clone())).collect())
    }

    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        self.shelf().folder(run)?.requests.remove(name);
        Ok(())
    }

    async fn put_look(&self, run: &str, look: &Look) -> Result<(), StoreError> {
        self.shelf().folder(run)?.look = Some(look.clone());
        Ok(())
    }

    async fn look(&self, run: &str) -> Option<Look> {
        self.shelf().folder(run).ok()?.look.clone()
    }

    async fn put_script(&self, _: &str, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn lock(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError> {
        self.take(load_balancers, holder, false)
    }

    async fn take_over(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError> {
        self.take(load_balancers, holder, true)
    }

    async fn holder(&self, run: &str) -> Option<Holder> {
        self.shelf().locks.values().map(|(_, holder)| holder).find(|h| h.run == run).cloned()
    }
}
