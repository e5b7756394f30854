//! Schedules as they are played: each in a runtime of its own, from a copy of a run that has just begun, or where a
//! fault strikes before that, from the very first call.

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

use super::fault::{Point, Schedule, Then};
use super::history::{Book, History, Verb, What};
use super::life::{Theatre, Wrap};
use super::plans;
use super::wire::{Crash, FIRST, Wire};

/// Longer than all lives of a run together may take: each is left once it was frozen for forty minutes.
const LONG: Duration = Duration::from_hours(12);

/// Nothing stands in between.
fn plain() -> Wrap {
    Arc::new(|ports| ports)
}

impl Theatre {
    /// Someone types `run` until there is a run, whatever strikes meanwhile: what that run has to be taken up with.
    /// `None` where nothing can be begun, because of what someone else did to the routes.
    async fn first(&mut self, then: Then) -> Result<Option<Verb>, String> {
        for attempt in 1..=3 {
            let begun = AssertUnwindSafe(self.started(attempt)).catch_unwind().await;
            match begun {
                Ok(Ok(())) => return Ok(Some(Verb::Run)),
                Ok(Err(failure)) => {
                    self.wire.note(What::Ends(failure.exit.code(), failure.to_string()));
                    if !matches!(failure.exit, Exit::Refused | Exit::Internal) {
                        return Err(format!("a run that is not begun ends with {:?}: {failure}", failure.exit));
                    }
                }
                Err(panic) if panic.is::<Crash>() => self.wire.note(What::Died),
                Err(panic) => resume_unwind(panic),
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            if self.ledger.memory.read(&self.run).await.is_ok_and(|records| !records.is_empty()) {
                return Ok(Some(then.verb()));
            }
        }
        // A marker that arrives late, after nobody waited for it any more, is at least known to be nobody's.
        let snapshot = self.lab.shell().call(|w, _| w.snapshot());
        for left in snapshot.tags.values().filter_map(|tags| tags.get(marker::KEY)) {
            if !marker::is_unstarted_or_finished(&self.ledger, left).await {
                return Err(format!("what was never begun leaves its marker: {left}"));
            }
        }
        Ok(None)
    }

    /// The outcome, or an error when all processes together take too long.
    async fn finish<T>(&self, play: impl AsyncFnOnce() -> Result<T, String>) -> (Result<T, String>, History, Wire) {
        let _log = self.wire.log();
        let outcome = tokio::time::timeout(LONG, play()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("it goes on after {LONG:?}")));
        (outcome, self.history.clone(), self.wire.clone())
    }
}

/// A run right after its beginning. All schedules whose faults strike later go on from here.
struct Begun {
    plan: Plan,
    world: World,
    at: Timestamp,
    book: Book,
    journal: Vec<u8>,
    run: String,
}

thread_local! {
    static BEGUN: RefCell<BTreeMap<String, Begun>> = const { RefCell::new(BTreeMap::new()) };
}

impl Begun {
    async fn new(plan: &str) -> Self {
        let theatre = Theatre::begin(plans::plan(plan)).await;
        let (world, at) = theatre.lab.shell().call(|world, now| (world.clone(), now));
        let (journal, book) = (theatre.ledger.memory.journal(&theatre.run), theatre.history.book().clone());
        Self { plan: theatre.plan.clone(), world, at, book, journal, run: theatre.run.clone() }
    }

    fn again(&self, points: Vec<Point>) -> Theatre {
        let (plan, clock, history, memory) =
            (self.plan.clone(), LabClock::new(self.at, 1.0), History::of(self.book.clone()), MemoryStore::new());
        memory.set_journal(&self.run, self.journal.clone());
        let theatre = Theatre::raise(plan.clone(), plan, self.world.clone(), clock, history, memory, points, plain());
        Theatre { run: self.run.clone(), ..theatre }
    }
}

/// A run of a plan right after its beginning, with these faults to come.
async fn begun(plan: &str, points: &[Point]) -> Theatre {
    if !BEGUN.with_borrow(|all| all.contains_key(plan)) {
        let new = Begun::new(plan).await;
        BEGUN.with_borrow_mut(|all| all.insert(plan.to_owned(), new));
    }
    BEGUN.with_borrow(|all| all[plan].again(points.to_vec()))
}

/// Plays a schedule in a runtime of its own: what became of it (`None`: it could not be begun), and all that was noted.
pub fn play(schedule: &Schedule) -> (Result<Option<RunOutcome>, String>, History, Wire) {
    let Schedule { plan, then, points } = schedule;
    runtime().block_on(async {
        if !points.iter().any(|p| p.call.0.starts_with(FIRST)) {
            let theatre = begun(plan, points).await;
            return theatre.finish(async || theatre.play(Verb::Run, *then).await.map(Some)).await;
        }
        let mut theatre = Theatre::new(plans::plan(plan), plans::plan(plan), points.clone(), plain());
        let _log = theatre.wire.log();
        match theatre.first(*then).await {
            Ok(Some(verb)) => theatre.finish(async || theatre.play(verb, *then).await.map(Some)).await,
            other => theatre.finish(async || other.map(|_| None)).await,
        }
    })
}

/// The calls of a plan's undisturbed run, its beginning included, and of what is done after it.
pub fn undisturbed(plan: &str, then: Then) -> (Result<RunOutcome, String>, History, Wire) {
    runtime().block_on(async {
        let theatre = Theatre::begin(plans::plan(plan)).await;
        let outcome = theatre.play(Verb::Run, then).await;
        (outcome, theatre.history.clone(), theatre.wire.clone())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}
