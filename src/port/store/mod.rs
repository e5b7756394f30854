//! The store of runs: for each run a journal, requests to the process that drives it, its heartbeat, and the locks.
//!
//! The store does not interpret records; it guarantees that they are durable, complete and in order. Do not add
//! decisions about runs.

mod error;
mod summary;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use self::error::{LockError, StoreError};
pub use self::summary::{RunSummary, emergency_command};
use crate::domain::run::event::{Event, Ramp, Record, RequestKind, ResumeMode};

/// A store of runs. One process at a time writes a run's journal; any process may read it and leave requests.
#[async_trait]
pub trait Store: Send + Sync {
    /// Its location, for messages.
    fn location(&self) -> String;
    /// Whether its contents outlive this process.
    fn is_durable(&self) -> bool;
    /// Creates an empty run. [`StoreError::Exists`] if it exists.
    async fn create(&self, run: &str) -> Result<(), StoreError>;
    /// Appends a record, numbered after the last one. It is durable when this returns; after an error it is not part of
    /// the journal, and nobody acts on it. An incomplete record at the end, from a crash, is removed first.
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError>;
    /// The records, without an incomplete last one. They are shared, because there may be ten thousand and a command
    /// reads them several times.
    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError>;
    /// Every run with at least one record, newest first. A damaged journal is listed as damaged.
    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError>;

    /// The run with this id, or the runs of the plan with this name, newest first.
    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError>;

    /// Stores a durable request to the process that drives this run.
    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError>;
    /// The requests in the order in which they were stored, each with the name for [`Store::drop_request`]. An
    /// unreadable request is moved aside and does not block the others.
    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError>;
    /// Removes a request that was handled (and journalled, so that a crash neither loses nor repeats it). No error if
    /// it is already gone.
    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError>;

    /// Replaces the heartbeat of the process that drives this run. Not durable: a heartbeat has no meaning after a
    /// crash.
    async fn put_heartbeat(&self, run: &str, look: &Heartbeat) -> Result<(), StoreError>;
    /// The last heartbeat.
    async fn heartbeat(&self, run: &str) -> Option<Heartbeat>;

    /// Stores a run's break-glass script beside its journal. Returns the command that runs it, or `None` if it cannot
    /// be run from there.
    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError>;

    /// Acquires the locks of these load balancers (ARNs), all or none. They are held until the returned value is
    /// dropped.
    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError>;
    /// Takes over the locks of these load balancers (ARNs) from their owners. The previous owner's [`LockGuard::check`] then
    /// names the new one.
    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError>;
    /// The live process that holds a lock for this run. Locks of dead processes do not count.
    async fn lock_owner(&self, run: &str) -> Option<LockOwner>;
}

/// An operator request to the process that drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Raise no further share.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// Continue.
    Resume {
        /// Who asks.
        by: String,
        /// How to handle drift.
        mode: ResumeMode,
    },
    /// Approve the approval step that the run waits for.
    Approve {
        /// Who asks.
        by: String,
    },
    /// End the current pause early.
    Promote {
        /// Who asks.
        by: String,
        /// Whether to end all pauses of the run.
        full: bool,
    },
    /// Restore the traffic and end the run.
    Abort {
        /// Who asks.
        by: String,
        /// Return to the shares of this earlier step, from 1; `None`: to the original shares.
        to_step: Option<usize>,
    },
    /// Restore the traffic.
    Rollback {
        /// Who asks.
        by: String,
        /// Whether to include routes whose way back has no healthy target.
        force: bool,
    },
    /// Detach the old target groups from the routes of a finished run.
    Detach {
        /// Who asks.
        by: String,
        /// Whether to delete the old cluster's bindings, too.
        bindings: bool,
    },
    /// Restore the traffic in stages.
    Ramp {
        /// Who asks.
        by: String,
        /// Whether to include routes whose way back has no healthy target.
        force: bool,
        /// The stages.
        ramp: Ramp,
    },
}

impl Request {
    /// The kind of the request.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Pause { .. } => RequestKind::Pause,
            Self::Resume { .. } => RequestKind::Resume,
            Self::Approve { .. } => RequestKind::Approve,
            Self::Promote { .. } => RequestKind::Promote,
            Self::Abort { .. } => RequestKind::Abort,
            Self::Rollback { .. } | Self::Ramp { .. } => RequestKind::Rollback,
            Self::Detach { .. } => RequestKind::Finalize,
        }
    }
}

/// The heartbeat of the process that drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// `alice@mac`.
    pub owner: String,
    /// The machine's name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// When it last observed the traffic.
    pub observed_at: Timestamp,
    /// Whether it continues to observe; `false`: it exited, and the run is unguarded since `at`.
    pub guarding: bool,
    /// What it is doing, in words.
    pub message: String,
    /// When it last saw every route as journalled and the marker present. A rollback's first writes may rely on it
    /// instead of a read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified_at: Option<Timestamp>,
    /// Seconds between its observations, as the API's rate allows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval_seconds: Option<u64>,
}

/// The owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockOwner {
    /// `alice@mac`.
    pub owner: String,
    /// The machine's name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// For which run.
    pub run: String,
}

/// The store's side of held locks.
#[async_trait]
pub trait LockBackend: Send + Sync {
    /// The process that took over one of them, if known.
    fn new_owner(&self) -> Option<LockOwner>;
    /// Why the locks may expire within `need` from now, although no other owner is known: they could not be renewed for
    /// too long. Local locks do not expire.
    fn expiry(&self, need: Duration) -> Option<String>;
    /// Asks the store whether the locks are still held, and returns whether it answered. Afterwards the other two
    /// methods use the answer. Takes a bounded time.
    async fn confirm(&self) -> bool;
    /// Releases the locks that are still held.
    async fn release(&self);
}

/// Locks that are held until released or dropped. For a remote store, dropping is best effort: the process may exit
/// before the store is informed; then the locks expire.
pub struct LockGuard(Box<dyn LockBackend>);

impl LockGuard {
    /// Wraps the locks of a store.
    pub fn new(lock: impl LockBackend + 'static) -> Self {
        Self(Box::new(lock))
    }

    /// No lock, for callers that need none; nobody can take it over.
    pub fn unlocked() -> Self {
        Self::new(NoLock)
    }

    /// Whether all locks are still held, as far as known. The error names the process that took one over.
    pub fn check(&self) -> Result<(), LockError> {
        self.0.new_owner().map_or(Ok(()), |holder| Err(LockError::HeldBy(Box::new(holder))))
    }

    /// See [`LockBackend::expiry`].
    pub fn expiry(&self, need: Duration) -> Option<String> {
        self.0.expiry(need)
    }

    /// See [`LockBackend::confirm`].
    pub async fn confirm(&self) -> bool {
        self.0.confirm().await
    }

    /// Releases the locks now. [`LockGuard::check`] succeeds afterwards.
    pub async fn release(&self) {
        self.0.release().await;
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

struct NoLock;

#[async_trait]
impl LockBackend for NoLock {
    fn new_owner(&self) -> Option<LockOwner> {
        None
    }

    fn expiry(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        true
    }

    async fn release(&self) {}
}

/// The runs that a reference names, in their order: the run with this id, else the runs of the plan with this name.
pub fn runs_named(runs: Vec<RunSummary>, reference: &str) -> Vec<RunSummary> {
    let by_id: Vec<_> = runs.iter().filter(|r| r.id == reference).cloned().collect();
    if by_id.is_empty() { runs.into_iter().filter(|r| r.plan == reference).collect() } else { by_id }
}

/// A new run's id, such as `alpha-webapp-20261120-210305-k3f9`. Ids of one plan sort by time and are safe as folder
/// names.
pub fn run_id(plan: &str, now: Timestamp, rng: &mut fastrand::Rng) -> String {
    let plan: String =
        plan.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    // Without vowels and similar characters: the id is read aloud and must not form words.
    let random: String = (0..4).map(|_| char::from(b"bcdfghjkmnpqrstvwxz23456789"[rng.usize(..27)])).collect();
    format!("{plan}-{time}-{random}")
}

/// Whether an id is one that [`run_id`] made for this plan.
pub fn is_run_of(id: &str, plan: &str) -> bool {
    let Some((begun, _random)) = id.strip_prefix(plan).and_then(|rest| rest.rsplit_once('-')) else { return false };
    DateTime::strptime("-%Y%m%d-%H%M%S", begun).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_the_plan_of_its_run() {
        let id = run_id("alpha-webapp", Timestamp::UNIX_EPOCH, &mut fastrand::Rng::with_seed(7));
        assert!(is_run_of(&id, "alpha-webapp"), "{id}");
        assert!(!is_run_of(&id, "alpha") && !is_run_of(&id, &id) && !is_run_of("alpha-webapp", "alpha-webapp"));
    }
}
