//! The store: where runs live. A journal for each run, requests to the process that runs it, its sign of life, and the locks.
//!
//! What the records mean is none of the store's business; that they are on disk, whole and in order, is.

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
pub use self::summary::{RunSummary, emergency};
use crate::domain::run::event::{Event, Ramp, Record, RequestKind, ResumeMode};

/// A place for runs. One process at a time writes a run's journal; any process may read it and leave requests.
#[async_trait]
pub trait Store: Send + Sync {
    /// Where it is, for messages.
    fn place(&self) -> String;
    /// Whether what it keeps outlives this process.
    fn lasts(&self) -> bool;
    /// Makes an empty run. [`StoreError::Exists`] if it is there.
    async fn create(&self, run: &str) -> Result<(), StoreError>;
    /// Adds a record, numbered after the last. It is durable when this returns; after an error it is not part of the journal, or as good as never acted on.
    /// What a crash left incomplete at the end is cut off first.
    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError>;
    /// The records, without an incomplete last one. Shared, because there may be ten thousand, and a verb looks at them several times.
    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError>;
    /// Every run with at least one record, newest first. A damaged journal is listed as such.
    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError>;

    /// The run with this id, or the runs of the plan with this name, newest first.
    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError>;

    /// Leaves a durable request for whoever runs this run.
    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError>;
    /// The requests in the order in which they were left, each with the name under which [`Store::drop_request`] removes it.
    /// What cannot be read is set aside and does not hold up the others.
    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError>;
    /// Removes a request that was dealt with (journalled, so that a crash neither loses nor repeats it). One that is gone already is no error.
    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError>;

    /// Replaces the sign of life of the process that runs this run. Not durable: it means nothing after a crash.
    async fn put_look(&self, run: &str, look: &Look) -> Result<(), StoreError>;
    /// The last sign of life.
    async fn look(&self, run: &str) -> Option<Look>;

    /// Keeps a run's break-glass script beside its journal, for its owner to run; the command that does, or `None` where nobody could run it from.
    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError>;

    /// Takes the locks of these load balancers (ARNs), all or none, for as long as the returned value lives.
    async fn lock(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError>;
    /// The same, from whoever has them: the loser's [`Held::check`] then names us.
    async fn take_over(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError>;
    /// The live process that holds a lock for this run; a dead process holds none.
    async fn holder(&self, run: &str) -> Option<Holder>;
}

/// What a person asks of the process that runs a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Raise nothing more.
    Pause {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Go on.
    Resume {
        /// By whom.
        by: String,
        /// What is done about drift.
        mode: ResumeMode,
    },
    /// Approve the approval step that is waited for.
    Approve {
        /// By whom.
        by: String,
    },
    /// End the current pause early.
    Promote {
        /// By whom.
        by: String,
        /// Every pause of the run.
        full: bool,
    },
    /// Put the traffic back and end the run.
    Abort {
        /// By whom.
        by: String,
        /// To the shares of this earlier step, from 1; `None`: to the original ones.
        to_step: Option<usize>,
    },
    /// Put the traffic back.
    Rollback {
        /// By whom.
        by: String,
        /// Even onto a route whose way back has no healthy target.
        force: bool,
    },
    /// Take the old groups out of the actions of a run that is over.
    Detach {
        /// By whom.
        by: String,
        /// The old cluster's bindings, too.
        bindings: bool,
    },
    /// Put the traffic back in parts.
    Ramp {
        /// By whom.
        by: String,
        /// Even onto a route whose way back has no healthy target.
        force: bool,
        /// The parts.
        ramp: Ramp,
    },
}

impl Request {
    /// What is asked.
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

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// `alice@mac`.
    pub owner: String,
    /// The machine's name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// When it last looked at the traffic.
    pub at: Timestamp,
    /// Whether it goes on looking; `false`: it left, and the run is unguarded since `at`.
    pub watching: bool,
    /// What it is doing, in words.
    pub message: String,
    /// When it last saw every route as its journal says, and the marker in place: the ground for a rollback's first writes without a read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seen: Option<Timestamp>,
    /// Seconds from one of its looks to the next, as AWS lets it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub every: Option<u64>,
}

/// Who has a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
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

/// Locks that are held, as the place where they are keeps them.
#[async_trait]
pub trait Lock: Send + Sync {
    /// Who took one of them over, as far as is known.
    fn usurper(&self) -> Option<Holder>;
    /// Why they may be somebody else's within `need` from now, though nobody else is known to have one: they could not be renewed for too long.
    /// A lock of this machine does not lapse.
    fn lapsed(&self, need: Duration) -> Option<String>;
    /// Asks the place whether they are ours, now; whether it said so. Afterwards the other two say what came of it. Bounded.
    async fn confirm(&self) -> bool;
    /// Frees those that are ours.
    async fn release(&self);
}

/// Locks that are held until this is released, or dropped. Where they are somewhere else, dropping them is a best effort: the process may be over before
/// the place hears of it, and then they lapse.
pub struct Held(Box<dyn Lock>);

impl Held {
    /// Over the locks of a place.
    pub fn new(lock: impl Lock + 'static) -> Self {
        Self(Box::new(lock))
    }

    /// No lock at all, which nobody can take over.
    pub fn nothing() -> Self {
        Self::new(Nothing)
    }

    /// Whether all of them are still ours, as far as is known; the error names who took one over.
    pub fn check(&self) -> Result<(), LockError> {
        self.0.usurper().map_or(Ok(()), |holder| Err(LockError::HeldBy(Box::new(holder))))
    }

    /// See [`Lock::lapsed`].
    pub fn lapsed(&self, need: Duration) -> Option<String> {
        self.0.lapsed(need)
    }

    /// See [`Lock::confirm`].
    pub async fn confirm(&self) -> bool {
        self.0.confirm().await
    }

    /// Frees them now. [`Held::check`] finds nobody afterwards.
    pub async fn release(&self) {
        self.0.release().await;
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

struct Nothing;

#[async_trait]
impl Lock for Nothing {
    fn usurper(&self) -> Option<Holder> {
        None
    }

    fn lapsed(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        true
    }

    async fn release(&self) {}
}

/// Those of these runs that a reference means, in their order: the one with this id, else those of the plan with this name.
pub fn meant(runs: Vec<RunSummary>, reference: &str) -> Vec<RunSummary> {
    let by_id: Vec<_> = runs.iter().filter(|r| r.id == reference).cloned().collect();
    if by_id.is_empty() { runs.into_iter().filter(|r| r.plan == reference).collect() } else { by_id }
}

/// An id for a new run, such as `alpha-webapp-20261120-210305-k3f9`: sorts by time within a plan, and is safe as a folder's name.
pub fn run_id(plan: &str, now: Timestamp, rng: &mut fastrand::Rng) -> String {
    let plan: String =
        plan.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    // Without vowels and look-alikes: it is read aloud, and must not spell words.
    let random: String = (0..4).map(|_| char::from(b"bcdfghjkmnpqrstvwxz23456789"[rng.usize(..27)])).collect();
    format!("{plan}-{time}-{random}")
}

/// Whether an id is one of a run of this plan, as [`run_id`] makes them.
pub fn is_of(id: &str, plan: &str) -> bool {
    let Some((begun, _random)) = id.strip_prefix(plan).and_then(|rest| rest.rsplit_once('-')) else { return false };
    DateTime::strptime("-%Y%m%d-%H%M%S", begun).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_the_plan_of_its_run() {
        let id = run_id("alpha-webapp", Timestamp::UNIX_EPOCH, &mut fastrand::Rng::with_seed(7));
        assert!(is_of(&id, "alpha-webapp"), "{id}");
        assert!(!is_of(&id, "alpha") && !is_of(&id, &id) && !is_of("alpha-webapp", "alpha-webapp"));
    }
}
