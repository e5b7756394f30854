//! The shell around the rules: observe, decide, journal, act, verify, journal. It takes no decisions: those are in
//! `domain::decide`.
//!
//! One serial loop ([`RunLoop::drive`]) drives a run. Between two of its turns the journal contains the complete state, so
//! a crash is not a special case. Each turn writes one chunk of a batch, so that requests and guards take effect in the
//! middle of a batch.

mod bind;
#[cfg(test)]
mod fake;
pub mod finalize;
pub mod inventory;
mod journal;
mod journal_clock;
mod limit;
pub mod marker;
pub mod observation;
pub mod ownership;
pub mod request;
pub mod retry;
mod run;
mod untag;
mod weight_tags;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::base::rate::{Rate, WRITES};
use crate::domain::decide::ProcessOptions;
use crate::domain::health::gate::MAX_SAMPLE_AGE;
use crate::domain::run::event::{Record, RunOutcome, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{IllegalEvent, State};
use crate::plan::model::ClusterName;
use crate::port::store::{Store, StoreError};
use crate::port::{Clock, Cluster, Hooks, LoadBalancerApi, Metrics};

pub use limit::{OBSERVE_BUDGET, poll_interval};
pub use marker::MarkerError;
pub use observation::WatchList;
pub use run::RunLoop;
pub use untag::LeftoverTag;
pub use write::restore::last_seen_intact;

/// The ports to everything outside that a run uses.
#[derive(Clone)]
pub struct Ports {
    /// The load balancers.
    pub balancer: LoadBalancerApi,
    /// The clusters that the plan gives access to.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// The sources of the metric gates.
    pub metrics: Arc<dyn Metrics>,
    /// Runs commands and hooks.
    pub hooks: Arc<dyn Hooks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The store of the runs.
    pub store: Arc<dyn Store>,
}

/// Receives the events of a run: a terminal, a stream of JSON, a rehearsal that measures.
pub trait Audience: Send {
    /// A record was journalled.
    fn record(&mut self, record: &Record);
    /// A turn of the loop is over.
    fn turn(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp);
}

/// How this process drives a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `alice@mac`.
    pub owner: String,
    /// The machine's name.
    pub host: String,
    /// The id of this process; 0 in a rehearsal, which must be repeatable.
    pub pid: u32,
    /// The time between two observations.
    pub poll: Duration,
    /// If two observations are further apart than this, the time between them counts as not observed.
    pub gap: Duration,
    /// The maximum age of a group's health reading for a raise.
    pub max_reading_age: Duration,
    /// How long a write may take before it counts as unanswered, in real time.
    pub deadline: Duration,
    /// Rate of modifying calls.
    pub modify: Rate,
    /// The options of this command that concern decisions.
    pub orders: ProcessOptions,
    /// Whether to exit instead of guarding a frozen run (`step`, no terminal, `--on-freeze exit`).
    pub leave_when_frozen: bool,
}

impl Settings {
    /// The settings of a run whose observation takes `things` calls (groups, pages of routes, load balancers): a
    /// deadline of ten seconds, an observation every five seconds or less often for many calls, and modifying calls
    /// just below the default rate of AWS's own load balancer controller (20 + 3/s; all controllers of the account
    /// share the bucket).
    pub fn new(owner: String, host: String, things: usize) -> Self {
        let poll = poll_interval(things, OBSERVE_BUDGET);
        Self {
            owner,
            host,
            pid: std::process::id(),
            poll,
            gap: poll * 3,
            max_reading_age: MAX_SAMPLE_AGE.unsigned_abs(),
            deadline: Duration::from_secs(10),
            modify: WRITES,
            orders: ProcessOptions::default(),
            leave_when_frozen: false,
        }
    }

    /// Sets the budget for observations of `things` calls, in describe calls a second.
    #[must_use]
    pub fn with_api_budget(self, budget: Option<f64>, things: usize) -> Self {
        let Some(budget) = budget else { return self };
        let poll = poll_interval(things, budget);
        Self { poll, gap: poll * 3, ..self }
    }
}

/// A request to this process to stop driving its run, such as `^C`, and its reason. The first one counts.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<OnceLock<(StopReason, String)>>);

impl Interrupt {
    /// Asks the process to stop.
    pub fn request(&self, stop: StopReason, message: impl Into<String>) {
        let _ = self.0.set((stop, message.into()));
    }

    /// The reason to stop, if there is one.
    pub fn requested(&self) -> Option<&(StopReason, String)> {
        self.0.get()
    }
}

/// How a process ended its part of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The run is finished.
    Finished {
        /// How.
        outcome: RunOutcome,
        /// Messages that the operator must see.
        remarks: Vec<String>,
        /// Routes that are not restored and that the run cannot restore any more, each with the reason.
        left: Vec<String>,
        /// What another actor changed and an operator accepted, each with its route.
        accepted: Vec<String>,
        /// Tags of the run that could not be removed.
        tags: Vec<LeftoverTag>,
    },
    /// The run is not finished; this process stops driving it.
    Stopped(StopReason, String),
}

/// Why a run could not be driven at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be written or read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The journal has an event that is not possible at its place.
    #[error("the journal is inconsistent: {0}; `cutover rollback` can restore the traffic without it")]
    InconsistentJournal(#[from] IllegalEvent),
    /// The journal is empty.
    #[error("the journal of the run {0} is empty")]
    Empty(String),
}
