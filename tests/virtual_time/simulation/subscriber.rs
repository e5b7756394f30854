//! The subscriber of a simulated run: approves approval steps, and ends a process that stays frozen.

use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::run::event::{Event, Record, StopReason, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Phase, State};
use cutover::engine::{Interrupt, Subscriber};
use cutover::port::store::Request;
use jiff::{SignedDuration, Timestamp};

use super::history::EntryContent;
use super::wire::Wire;

/// A run that is frozen for this long does not continue by itself.
const FROZEN_LIMIT: SignedDuration = SignedDuration::from_mins(40);

/// Receives the records of a run, approves approval steps and interrupts a frozen run.
pub struct TestSubscriber {
    wire: Wire,
    disk: MemoryStore,
    /// The last step that was approved.
    approved: usize,
    frozen: Option<Timestamp>,
    pub interrupt: Interrupt,
}

impl TestSubscriber {
    pub fn new(wire: Wire, disk: MemoryStore) -> Self {
        Self { wire, disk, approved: 0, frozen: None, interrupt: Interrupt::default() }
    }
}

impl Subscriber for TestSubscriber {
    fn record(&mut self, record: &Record) {
        self.wire.note(EntryContent::Published(record.clone()));
        match &record.event {
            Event::Frozen { .. } => self.frozen = Some(self.wire.now()),
            Event::Unfrozen {} | Event::Resumed { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                self.frozen = None;
            }
            _ => {}
        }
    }

    fn iteration_ended(&mut self, state: &State, _: &Observed, _: &[Wait], _: Timestamp) {
        if state.phase == Phase::AwaitingApproval && self.approved != state.step {
            self.approved = state.step;
            let _ = self.disk.add_request(&state.run, &Request::Approve { by: "bob@lab".into() });
        }
        if self.frozen.is_some_and(|since| self.wire.now().duration_since(since) > FROZEN_LIMIT) {
            self.interrupt.request(StopReason::Waiting, "frozen for too long");
        }
    }
}
