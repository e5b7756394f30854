//! Carries out the decisions of `domain::decide`: observe, decide, journal, act, verify, journal. Do not add decisions
//! here.
//!
//! One serial loop ([`RunLoop::drive`]) drives a run. After each loop iteration the journal contains the complete
//! state, so a crash needs no special handling. Each iteration writes one chunk of a batch, so that requests and guards
//! take effect in the middle of a batch.

mod bind;
mod binding_list;
pub mod compare;
pub mod compare_platform;
#[cfg(test)]
mod fake;
pub mod finalize;
pub mod inventory;
pub mod items;
mod journal;
mod journal_clock;
mod limit;
pub mod marker;
pub mod observation;
pub mod ownership;
pub mod request;
pub mod retry;
mod rounds;
mod run;
mod tag_calls;
mod untag;
mod weight_tags;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use self::inventory::ReadPacer;
use crate::base::rate::{Rate, WRITE_RATE};
use crate::domain::decide::ProcessOptions;
use crate::domain::health::gate::MAX_SAMPLE_AGE;
use crate::domain::run::event::{Record, RunOutcome, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{IllegalEvent, State};
use crate::plan::model::{ClusterName, Plan};
use crate::port::store::{Store, StoreError};
use crate::port::{Clock, Cluster, ComparedCluster, Hooks, LoadBalancerApi, Metrics};

pub use limit::{OBSERVE_BUDGET, poll_interval};
pub use marker::MarkerError;
pub use observation::WatchList;
pub use run::RunLoop;
pub use untag::LeftoverTag;
pub use write::restore::last_seen_intact;

/// The ports through which a run uses AWS, Kubernetes, the store and the clock.
#[derive(Clone)]
pub struct Ports {
    /// The load balancer API.
    pub balancer: LoadBalancerApi,
    /// The clusters that the plan gives access to.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// These clusters for the compare gate.
    pub compared: BTreeMap<ClusterName, Arc<dyn ComparedCluster>>,
    /// The items of hand-overs, in the clusters that the plan gives access to.
    pub items: items::ItemPorts,
    /// The sources of the metric gates.
    pub metrics: Arc<dyn Metrics>,
    /// Runs the commands and hooks of the plan.
    pub hooks: Arc<dyn Hooks>,
    /// The clock of the run.
    pub clock: Arc<dyn Clock>,
    /// The pace of reads outside the loop.
    pub reads: ReadPacer,
    /// The store of the runs.
    pub store: Arc<dyn Store>,
}

/// A subscriber to the events of a run, such as a terminal, a stream of JSON, or a rehearsal that measures.
pub trait Subscriber: Send {
    /// Receives a record that was journalled.
    fn record(&mut self, record: &Record);
    /// Receives the state of the run at the end of each loop iteration.
    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp);
}

/// The settings with which this process drives a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The user and the machine of this process, such as `alice@mac`.
    pub owner: String,
    /// The name of the machine.
    pub host: String,
    /// The wave of the run, which the marker names; `None` if its plan has no waves.
    pub wave: Option<String>,
    /// The id of this process; 0 in a rehearsal, which must be repeatable.
    pub pid: u32,
    /// The time in which everything is observed once.
    pub poll: Duration,
    /// The number of parts of an observation. If there are many resources, each part reads some of them, so that the
    /// guard can react between two parts.
    pub parts: usize,
    /// If two observations are further apart than this, the time between them counts as not observed.
    pub gap: Duration,
    /// The maximum age of a group's health reading when its share is raised.
    pub max_reading_age: Duration,
    /// The time after which a write without a response counts as unanswered, in real time.
    pub deadline: Duration,
    /// The rate of modifying calls.
    pub modify: Rate,
    /// The options of this command that concern decisions.
    pub orders: ProcessOptions,
    /// Whether to exit instead of guarding a frozen run (`step`, no terminal, `--on-freeze exit`).
    pub exit_when_frozen: bool,
}

impl Settings {
    /// Creates the settings of a run whose observation takes `calls` calls (one per group, page of routes, and load
    /// balancer). The deadline is ten seconds. The run observes every five seconds, or less often if an observation
    /// takes many calls. Modifying calls stay just below the default rate of AWS's own load balancer controller (20 +
    /// 3/s), because all controllers of the account share one bucket.
    pub fn new(owner: String, host: String, calls: usize) -> Self {
        let poll = poll_interval(calls, OBSERVE_BUDGET);
        Self {
            owner,
            host,
            wave: None,
            pid: std::process::id(),
            poll,
            parts: limit::part_count(poll, calls),
            gap: poll * 3,
            max_reading_age: MAX_SAMPLE_AGE.unsigned_abs(),
            deadline: Duration::from_secs(10),
            modify: WRITE_RATE,
            orders: ProcessOptions::default(),
            exit_when_frozen: false,
        }
    }

    /// Sets the wave of the run to that of its plan.
    #[must_use]
    pub fn for_plan(self, plan: &Plan) -> Self {
        Self { wave: plan.wave_name().map(str::to_owned), ..self }
    }

    /// Sets the budget for observations of `calls` calls, in describe calls per second.
    #[must_use]
    pub fn with_api_budget(self, budget: Option<f64>, calls: usize) -> Self {
        let Some(budget) = budget else { return self };
        let poll = poll_interval(calls, budget);
        Self { poll, parts: limit::part_count(poll, calls), gap: poll * 3, ..self }
    }
}

/// A request to this process to stop driving the run, such as `^C`, with the reason. Only the first request counts.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<OnceLock<(StopReason, String)>>);

impl Interrupt {
    /// Asks the process to stop driving the run.
    pub fn request(&self, stop: StopReason, message: impl Into<String>) {
        let _ = self.0.set((stop, message.into()));
    }

    /// Returns the reason to stop; `None` if nobody asked the process to stop.
    pub fn requested(&self) -> Option<&(StopReason, String)> {
        self.0.get()
    }
}

/// The way in which a process ended its part of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The run is finished.
    Finished {
        /// Whether the run completed, was rolled back, or was aborted.
        outcome: RunOutcome,
        /// Messages that the operator must see.
        remarks: Vec<String>,
        /// The routes that are not restored and that the run can no longer restore, each with the reason.
        left: Vec<String>,
        /// The changes that another actor made and an operator accepted, each with its route.
        accepted: Vec<String>,
        /// Tags of the run that could not be removed.
        tags: Vec<LeftoverTag>,
    },
    /// The run is not finished, but this process stops driving it. Contains the reason and a message.
    Stopped(StopReason, String),
}

/// The reason why a run could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be written or read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The journal has an event that is not possible at this point of the run.
    #[error("the journal is inconsistent: {0}; `cutover rollback` can roll back without the journal")]
    InconsistentJournal(#[from] IllegalEvent),
    /// The journal is empty.
    #[error("the journal of the run {0} is empty")]
    Empty(String),
}
