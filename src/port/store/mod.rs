//! The interface to the store of runs. The store keeps for each run a journal, the requests to the process that drives
//! the run, and a heartbeat. It also keeps the locks.
//!
//! The store does not interpret records. It guarantees that records are durable, complete and in order. Do not add
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
use crate::domain::hand_over::ItemId;
use crate::domain::run::event::{Event, Ramp, Record, RequestKind, ResumeMode};
use crate::domain::traffic::RouteId;

/// A store of runs. One process at a time writes a run's journal; any process may read it and leave requests.
#[async_trait]
pub trait Store: Send + Sync {
    /// Returns the location of the store, for messages.
    fn location(&self) -> String;
    /// Returns whether the contents of the store outlive this process.
    fn is_durable(&self) -> bool;
    /// Creates an empty run. Returns [`StoreError::Exists`] if the run exists.
    async fn create(&self, run: &str) -> Result<(), StoreError>;
    /// Appends a record with the next number. The record is durable when this function returns. After an error the
    /// record is not part of the journal, and the caller must not act on it. First removes an incomplete record at the
    /// end, which a crash may have left.
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError>;
    /// Reads the records of a run, except an incomplete last record. The records are shared, because a journal may have
    /// ten thousand and a command reads them several times.
    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError>;
    /// Returns every run with at least one record, newest first. A run with a damaged journal is listed as damaged.
    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError>;

    /// Returns the run with this id, or the runs of the plan with this name, newest first.
    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError>;

    /// Stores a durable request to the process that drives this run.
    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError>;
    /// Returns the requests in the order in which they were stored, each with the name for [`Store::drop_request`].
    /// Moves an unreadable request aside, so that it does not block the others.
    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError>;
    /// Removes a request that was carried out and journalled, so that a crash neither loses nor repeats the request.
    /// Succeeds if the request is already gone.
    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError>;

    /// Replaces the heartbeat of the process that drives this run. The heartbeat need not be durable, because it has no
    /// meaning after a crash.
    async fn put_heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<(), StoreError>;
    /// Returns the last heartbeat of the process that drives this run.
    async fn heartbeat(&self, run: &str) -> Option<Heartbeat>;

    /// Stores a run's break-glass script together with its journal. Returns the command that runs the script, or `None`
    /// if the script cannot be run from there.
    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError>;

    /// Acquires the locks of these load balancers (ARNs), either all or none. The locks are held until the returned
    /// value is dropped.
    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError>;
    /// Takes over the locks of these load balancers (ARNs) from their owners. [`LockGuard::check`] of the previous
    /// owner then names the new owner.
    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError>;
    /// Returns the live process that holds a lock for this run. Locks of dead processes do not count.
    async fn lock_owner(&self, run: &str) -> Option<LockOwner>;
}

/// An operator request to the process that drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Do not raise any more shares.
    Pause {
        /// The person or role that sends the request.
        by: String,
        /// The reason for the pause; may be empty.
        reason: String,
    },
    /// Continue the paused or frozen run.
    Resume {
        /// The person or role that sends the request.
        by: String,
        /// How to handle routes that someone else changed.
        mode: ResumeMode,
        /// Why the plan's hours are ignored for the next increase of a share; `None` if they are not ignored.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ignore_hours: Option<String>,
    },
    /// Go on without the routes of a lost load balancer.
    LeaveOut {
        /// The person or role that sends the request.
        by: String,
        /// The routes of the load balancer.
        routes: Vec<RouteId>,
    },
    /// Approve the approval step that the run waits for.
    Approve {
        /// The person or role that sends the request.
        by: String,
    },
    /// End the current pause early.
    Promote {
        /// The person or role that sends the request.
        by: String,
        /// Whether to end all pauses of the run.
        full: bool,
    },
    /// Roll back to the old cluster and end the run.
    Abort {
        /// The person or role that sends the request.
        by: String,
        /// The earlier step whose shares are restored, counted from 1; `None` means the original shares.
        to_step: Option<usize>,
    },
    /// Roll back to the original shares.
    Rollback {
        /// The person or role that sends the request.
        by: String,
        /// Whether to also roll back routes whose old target group has no healthy target.
        force: bool,
        /// Whether clients with a cookie for the new cluster also go back; `None` if the plan decides.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        break_stickiness: Option<bool>,
    },
    /// Take back an item of a hand-over although the new cluster does not confirm that nothing of it runs there.
    AssumeStopped {
        /// The person or role that sends the request.
        by: String,
        /// The item.
        item: ItemId,
    },
    /// Detach the old target groups from the routes of a finished run.
    Detach {
        /// The person or role that sends the request.
        by: String,
        /// Whether to also delete the old cluster's TargetGroupBindings.
        bindings: bool,
    },
    /// Roll back in stages.
    Ramp {
        /// The person or role that sends the request.
        by: String,
        /// Whether to also roll back routes whose old target group has no healthy target.
        force: bool,
        /// Whether clients with a cookie for the new cluster also go back; `None` if the plan decides.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        break_stickiness: Option<bool>,
        /// The stages of the rollback.
        ramp: Ramp,
    },
}

impl Request {
    /// Returns the kind of the request.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Pause { .. } => RequestKind::Pause,
            Self::Resume { .. } | Self::LeaveOut { .. } => RequestKind::Resume,
            Self::Approve { .. } => RequestKind::Approve,
            Self::Promote { .. } => RequestKind::Promote,
            Self::Abort { .. } => RequestKind::Abort,
            Self::Rollback { .. } | Self::Ramp { .. } => RequestKind::Rollback,
            Self::AssumeStopped { .. } => RequestKind::AssumeStopped,
            Self::Detach { .. } => RequestKind::Finalize,
        }
    }
}

/// The heartbeat of the process that drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The user and the machine of the process, such as `alice@mac`.
    pub owner: String,
    /// The name of the machine.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// When the process last observed the traffic.
    pub observed_at: Timestamp,
    /// Whether the process continues to observe. With `false`, the process has exited, and the run is unguarded since
    /// `at`.
    pub guarding: bool,
    /// The current activity of the process, as text for people.
    pub message: String,
    /// When the process last read every route as journalled and the marker as present. The first writes of a rollback
    /// may rely on this time instead of a read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified_at: Option<Timestamp>,
    /// Seconds between two observations of the process; depends on the API budget.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval_seconds: Option<u64>,
    /// The oldest reading of the health of a group with traffic, if one observation takes many calls.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_health: Option<OldestHealth>,
}

/// The group with traffic whose health was read longest ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldestHealth {
    /// The name of the target group.
    pub group: String,
    /// When the health of the group was read; `None` if this process has not read it yet.
    pub at: Option<Timestamp>,
    /// The source that shows first that the group becomes unhealthy.
    pub noticed_by: NoticedBy,
}

/// The source that shows first that a target group becomes unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticedBy {
    /// A watch of the EndpointSlices of the group's Service, which shows it within seconds.
    Endpoints,
    /// The metrics of CloudWatch, which show it within one to three minutes.
    CloudWatch,
    /// Only the next regular reading of the group's target health.
    Rounds,
}

/// The owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockOwner {
    /// The user and the machine of the process, such as `alice@mac`.
    pub owner: String,
    /// The name of the machine.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// When the process acquired the lock.
    pub since: Timestamp,
    /// The run that the lock is for.
    pub run: String,
}

/// The store-specific part of a [`LockGuard`].
#[async_trait]
pub trait LockBackend: Send + Sync {
    /// Returns the process that took over one of the locks, if that is known.
    fn new_owner(&self) -> Option<LockOwner>;
    /// Returns why the locks may expire within `need` from now although no other owner is known: they could not be
    /// renewed for too long. Local locks do not expire.
    fn expiry(&self, need: Duration) -> Option<String>;
    /// Asks the store whether the locks are still held. Returns whether the store answered. Then [`Self::new_owner`]
    /// and [`Self::expiry`] use the answer. Takes a limited time.
    async fn confirm(&self) -> bool;
    /// Releases the locks that are still held.
    async fn release(&self);
}

/// The locks of a run, held until released or dropped. For a remote store, a drop releases the locks only if the
/// process lives long enough to inform the store; otherwise the locks expire.
pub struct LockGuard(Box<dyn LockBackend>);

impl LockGuard {
    /// Wraps the locks of a store.
    pub fn new(lock: impl LockBackend + 'static) -> Self {
        Self(Box::new(lock))
    }

    /// Returns a guard without a lock, for callers that need none. No process can take it over.
    pub fn unlocked() -> Self {
        Self::new(NoLock)
    }

    /// Checks that all locks are still held, according to the last answer of the store. The error names the process
    /// that took over a lock.
    pub fn check(&self) -> Result<(), LockError> {
        self.0.new_owner().map_or(Ok(()), |holder| Err(LockError::HeldBy(Box::new(holder))))
    }

    /// Returns why the locks may expire soon: see [`LockBackend::expiry`].
    pub fn expiry(&self, need: Duration) -> Option<String> {
        self.0.expiry(need)
    }

    /// Asks the store whether the locks are still held: see [`LockBackend::confirm`].
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

/// Returns the run with the id `reference`. If there is none, returns the runs of the plan with the name `reference`,
/// in their order.
pub fn runs_named(runs: Vec<RunSummary>, reference: &str) -> Vec<RunSummary> {
    let by_id: Vec<_> = runs.iter().filter(|r| r.id == reference).cloned().collect();
    if by_id.is_empty() { runs.into_iter().filter(|r| r.plan == reference).collect() } else { by_id }
}

/// Builds the id of a new run, such as `alpha-webapp-20261120-210305-k3f9`. The ids of one plan sort by time and are
/// safe as folder names.
pub fn run_id(plan: &str, now: Timestamp, rng: &mut fastrand::Rng) -> String {
    let plan: String =
        plan.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    // Vowels and similar characters are left out: people read the id aloud, and it must not form words.
    let random: String = (0..4).map(|_| char::from(b"bcdfghjkmnpqrstvwxz23456789"[rng.usize(..27)])).collect();
    format!("{plan}-{time}-{random}")
}

/// Returns whether [`run_id`] made this id for this plan.
pub fn is_run_of(id: &str, plan: &str) -> bool {
    let Some((start_time, _random)) = id.strip_prefix(plan).and_then(|rest| rest.rsplit_once('-')) else {
        return false;
    };
    DateTime::strptime("-%Y%m%d-%H%M%S", start_time).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_is_recognized_only_for_its_own_plan() {
        let id = run_id("alpha-webapp", Timestamp::UNIX_EPOCH, &mut fastrand::Rng::with_seed(7));
        assert!(is_run_of(&id, "alpha-webapp"), "{id}");
        assert!(!is_run_of(&id, "alpha") && !is_run_of(&id, &id) && !is_run_of("alpha-webapp", "alpha-webapp"));
    }
}
