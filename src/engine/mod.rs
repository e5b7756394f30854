//! The shell around the rules: observe, decide, journal, act, verify, journal. It chooses no goals.
//!
//! One serial loop ([`Run::drive`]) owns a run: between any two of its turns the journal says all there is to know, so a crash is no
//! special case. Batches are written in chunks, a chunk a turn, so that requests and guards are heard in the middle of a batch.

mod ahead;
mod bind;
pub mod facts;
#[cfg(test)]
mod fake;
pub mod finalize;
pub mod hold;
pub mod init;
mod journal;
mod keep;
mod limit;
pub mod live;
pub mod look;
pub mod marker;
pub mod request;
pub mod retry;
mod run;
pub mod start;
mod untag;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::decide::Orders;
use crate::domain::health::gate::FRESH;
use crate::domain::run::event::{Outcome, Record, Stop, Wait};
use crate::domain::run::state::{Illegal, State};
use crate::domain::run::watch::Watch;
use crate::plan::model::ClusterName;
use crate::port::store::{Store, StoreError};
use crate::port::{Balancer, Clock, Cluster, Hooks, Metrics};

pub use limit::{LOOKS, Rate, interval};
pub use look::Subject;
pub use marker::MarkerError;
pub use run::Run;
pub use untag::Leftover;
pub use write::restore::seen;

/// The world, as far as a run reaches it.
#[derive(Clone)]
pub struct Ports {
    /// The load balancers.
    pub balancer: Balancer,
    /// The clusters that the plan gives access to.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// Where the numbers of metric gates come from.
    pub metrics: Arc<dyn Metrics>,
    /// Who carries out commands and hooks.
    pub hooks: Arc<dyn Hooks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where runs live.
    pub store: Arc<dyn Store>,
}

/// Who follows a run: a terminal, a stream of JSON, a rehearsal that measures.
pub trait Audience: Send {
    /// A record was journalled.
    fn record(&mut self, record: &Record);
    /// A turn of the loop is over.
    fn turn(&mut self, state: &State, watch: &Watch, waits: &[Wait], now: Timestamp);
}

/// How this process runs a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `alice@mac`.
    pub owner: String,
    /// The machine's name.
    pub host: String,
    /// This process; a rehearsal, which must repeat, says 0.
    pub pid: u32,
    /// Time between two looks.
    pub poll: Duration,
    /// Two looks further apart than this leave a time that nobody observed.
    pub gap: Duration,
    /// A look at a group's health older than this is not good enough to raise it.
    pub fresh: Duration,
    /// How long a write may take before it counts as unanswered, in real time.
    pub deadline: Duration,
    /// Rate of modifying calls.
    pub modify: Rate,
    /// What the person at this process asked for.
    pub orders: Orders,
    /// Leave instead of guarding a frozen run (`step`, no terminal, `--on-freeze exit`).
    pub leave_when_frozen: bool,
}

impl Settings {
    /// For a run that looks at `things` per poll (groups, pages of routes, load balancers): ten seconds' deadline, a look every five seconds
    /// or less often where there is much to look at, and modifying calls just below the rate that AWS's own load balancer controller
    /// ships (20 + 3/s; the bucket is the account's, shared with every controller).
    pub fn new(owner: String, host: String, things: usize) -> Self {
        let poll = interval(things, LOOKS);
        // Two less than the bucket: our markers are taken from it too, and AWS counts calls when they arrive.
        let modify = Rate { burst: 18.0, per_second: 3.0 };
        Self {
            owner,
            host,
            pid: std::process::id(),
            poll,
            gap: poll * 3,
            fresh: FRESH.unsigned_abs(),
            deadline: Duration::from_secs(10),
            modify,
            orders: Orders::default(),
            leave_when_frozen: false,
        }
    }

    /// The same with another number of describe calls a second to spend on looking at `things`.
    #[must_use]
    pub fn spending(self, budget: Option<f64>, things: usize) -> Self {
        let Some(budget) = budget else { return self };
        let poll = interval(things, budget);
        Self { poll, gap: poll * 3, ..self }
    }
}

/// `^C`, or whatever else asks a process to leave its run, and why. The first one counts.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<OnceLock<(Stop, String)>>);

impl Interrupt {
    /// Asks.
    pub fn raise(&self, stop: Stop, message: impl Into<String>) {
        let _ = self.0.set((stop, message.into()));
    }

    /// What was asked, if anything.
    pub fn raised(&self) -> Option<&(Stop, String)> {
        self.0.get()
    }
}

/// How a process left a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The run is over.
    Finished {
        /// How.
        outcome: Outcome,
        /// What a person must know.
        remarks: Vec<String>,
        /// Routes that are not back and that the run cannot put back any more, each with why.
        left: Vec<String>,
        /// Tags of the run that could not be removed.
        tags: Vec<Leftover>,
    },
    /// The run goes on without this process.
    Stopped(Stop, String),
}

/// Why a run could not go on at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be written or read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The journal does not make sense.
    #[error("the journal does not make sense: {0}")]
    Illegal(#[from] Illegal),
    /// The journal is empty.
    #[error("the run {0} has no records")]
    Empty(String),
}
