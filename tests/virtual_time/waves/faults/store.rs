//! The store of a process: its appends are calls at which the process may die, and the checker sees what is on disk.

use std::sync::Arc;

use async_trait::async_trait;
use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::run::event::{Event, Record, RunOutcome};
use cutover::port::store::{Heartbeat, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError};
use jiff::Timestamp;

use super::bugs::Bug;
use super::line::Process;

/// A store in memory, as one process reaches it.
#[derive(Clone)]
pub struct StoreLine {
    pub memory: MemoryStore,
    pub process: Arc<Process>,
}

impl StoreLine {
    /// Returns what is wrong with the list of runs by a seeded bug.
    fn told(&self, mut runs: Vec<RunSummary>) -> Vec<RunSummary> {
        match self.process.lines.bug {
            Some(Bug::RolledBackIsDone) => {
                for run in runs.iter_mut().filter(|run| run.finished == Some(RunOutcome::RolledBack)) {
                    run.finished = Some(RunOutcome::Completed);
                }
            }
            Some(Bug::UnfinishedIsDone) => {
                for run in runs.iter_mut().filter(|run| run.finished.is_none()) {
                    run.finished = Some(RunOutcome::Completed);
                }
            }
            _ => {}
        }
        runs
    }
}

#[async_trait]
impl Store for StoreLine {
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let name = match event {
            Event::Started(_) => "append started",
            Event::Finished { .. } => "append finished",
            _ => "append",
        };
        let append = async {
            if self.process.lines.is_full() {
                return Err(StoreError::Full(run.to_owned()));
            }
            let record = self.memory.append(run, time, event).await?;
            self.process.lines.checker.journalled(run, event, time);
            Ok(record)
        };
        self.process.store_call(name, append).await
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        self.process.store_call("create", self.memory.create(run)).await
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        let found = self.process.store_call("find", self.memory.find(reference)).await?;
        Ok(self.told(found))
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        self.memory.read(run).await
    }
    fn location(&self) -> String {
        self.memory.location()
    }
    fn is_durable(&self) -> bool {
        true
    }
    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError> {
        self.memory.put_script(run, text).await
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
