//! Runs schedules: each in a new runtime, from a copy of a run that has just started. If a fault is at an earlier call,
//! the schedule starts from the very first call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use cutover::adapter::clock::LabClock;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::exit::Exit;
use cutover::domain::run::event::RunOutcome;
use cutover::engine::marker;
use cutover::lab::model::World;
use cutover::plan::model::Plan;
use cutover::port::store::Store;
use futures::FutureExt;
use jiff::Timestamp;

use super::fault::{FaultPoint, FollowUp, Schedule};
use super::history::{EntryContent, History, HistoryData, Verb};
use super::plans;
use super::processes::{Simulation, Wrap};
use super::wire::{Crash, FIRST, Wire};

/// A timeout longer than any simulated run: each process is abandoned after forty minutes without progress.
const RUN_TIMEOUT: Duration = Duration::from_hours(12);

/// Returns a wrapper that changes nothing.
fn no_wrap() -> Wrap {
    Arc::new(|ports| ports)
}

impl Simulation {
    /// Starts the run, with up to three attempts while faults are injected. Returns the verb that continues the run, or
    /// `None` if no run can start because of what someone else did to the routes.
    async fn start_with_faults(&mut self, then: FollowUp) -> Result<Option<Verb>, String> {
        for attempt in 1..=3 {
            let begun = AssertUnwindSafe(self.start_run(attempt)).catch_unwind().await;
            match begun {
                Ok(Ok(())) => return Ok(Some(Verb::Run)),
                Ok(Err(failure)) => {
                    self.wire.note(EntryContent::Ends(failure.exit.code(), failure.to_string()));
                    if !matches!(failure.exit, Exit::Refused | Exit::Internal) {
                        return Err(format!("a run that did not start ends with {:?}: {failure}", failure.exit));
                    }
                }
                Err(panic) if panic.is::<Crash>() => self.wire.note(EntryContent::Died),
                Err(panic) => resume_unwind(panic),
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            if self.store.memory.read(&self.run).await.is_ok_and(|records| !records.is_empty()) {
                return Ok(Some(then.verb()));
            }
        }
        // A marker that was written late must be recognized as the marker of a run that did not start.
        let snapshot = self.lab.model().call(|w, _| w.snapshot());
        for left in snapshot.tags.values().filter_map(|tags| tags.get(marker::KEY)) {
            if !marker::is_unstarted_or_finished(&self.store, left).await {
                return Err(format!("a run that did not start leaves its marker: {left}"));
            }
        }
        Ok(None)
    }

    /// Returns the outcome, or an error if all processes together take too long.
    async fn finish<T>(&self, drive: impl AsyncFnOnce() -> Result<T, String>) -> (Result<T, String>, History, Wire) {
        let _log = self.wire.record_log();
        let outcome = tokio::time::timeout(RUN_TIMEOUT, drive()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("the run has not ended after {RUN_TIMEOUT:?}")));
        (outcome, self.history.clone(), self.wire.clone())
    }
}

/// A run right after its start. All schedules whose faults come later continue from here.
struct StartedRun {
    plan: Plan,
    world: World,
    at: Timestamp,
    data: HistoryData,
    journal: Vec<u8>,
    run: String,
}

thread_local! {
    static STARTED_RUNS: RefCell<BTreeMap<String, StartedRun>> = const { RefCell::new(BTreeMap::new()) };
}

impl StartedRun {
    async fn new(plan: &str) -> Self {
        let simulation = Simulation::begin(plans::plan(plan)).await;
        let (world, at) = simulation.lab.model().call(|world, now| (world.clone(), now));
        let (journal, data) = (simulation.store.memory.journal(&simulation.run), simulation.history.data().clone());
        Self { plan: simulation.plan.clone(), world, at, data, journal, run: simulation.run.clone() }
    }

    fn with_faults(&self, points: Vec<FaultPoint>) -> Simulation {
        let (plan, clock, history, memory) =
            (self.plan.clone(), LabClock::new(self.at, 1.0), History::of(self.data.clone()), MemoryStore::new());
        memory.set_journal(&self.run, self.journal.clone());
        let simulation =
            Simulation::build(plan.clone(), plan, self.world.clone(), clock, history, memory, points, no_wrap());
        Simulation { run: self.run.clone(), ..simulation }
    }
}

/// Returns a run of a plan right after its start, with these faults to come.
async fn started_run(plan: &str, points: &[FaultPoint]) -> Simulation {
    if !STARTED_RUNS.with_borrow(|all| all.contains_key(plan)) {
        let new = StartedRun::new(plan).await;
        STARTED_RUNS.with_borrow_mut(|all| all.insert(plan.to_owned(), new));
    }
    STARTED_RUNS.with_borrow(|all| all[plan].with_faults(points.to_vec()))
}

/// Runs a schedule in a new runtime. Returns the outcome (`None` if the run did not start), the history and the
/// recorded calls.
pub fn run_schedule(schedule: &Schedule) -> (Result<Option<RunOutcome>, String>, History, Wire) {
    let Schedule { plan, then, points } = schedule;
    runtime().block_on(async {
        if !points.iter().any(|p| p.call.0.starts_with(FIRST)) {
            let simulation = started_run(plan, points).await;
            return simulation.finish(async || simulation.run_to_end(Verb::Run, *then).await.map(Some)).await;
        }
        let mut simulation = Simulation::new(plans::plan(plan), plans::plan(plan), points.clone(), no_wrap());
        let _log = simulation.wire.record_log();
        match simulation.start_with_faults(*then).await {
            Ok(Some(verb)) => simulation.finish(async || simulation.run_to_end(verb, *then).await.map(Some)).await,
            other => simulation.finish(async || other.map(|_| None)).await,
        }
    })
}

/// Runs a plan without faults, from its start to the end of the verb after it.
pub fn run_without_faults(plan: &str, then: FollowUp) -> (Result<RunOutcome, String>, History, Wire) {
    runtime().block_on(async {
        let simulation = Simulation::begin(plans::plan(plan)).await;
        let outcome = simulation.run_to_end(Verb::Run, then).await;
        (outcome, simulation.history.clone(), simulation.wire.clone())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("the Tokio runtime should start")
}
