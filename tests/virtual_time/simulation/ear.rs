//! The audience of a simulated run: approves approval steps, and ends a run that stays frozen.

use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::run::event::{Event, Record, StopReason, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Phase, State};
use cutover::engine::{Audience, Interrupt};
use cutover::port::store::Request;
use jiff::{SignedDuration, Timestamp};

use super::history::What;
use super::wire::Wire;

/// Frozen for this long: nothing changes that any more.
const STALL: SignedDuration = SignedDuration::from_mins(40);

/// Hears what the run says.
pub struct Ear {
    wire: Wire,
    disk: MemoryStore,
    /// The last step that was approved.
    approved: usize,
    frozen: Option<Timestamp>,
    pub interrupt: Interrupt,
}

impl Ear {
    pub fn new(wire: Wire, disk: MemoryStore) -> Self {
        Self { wire, disk, approved: 0, frozen: None, interrupt: Interrupt::default() }
    }
}

impl Audience for Ear {
    fn record(&mut self, record: &Record) {
        self.wire.note(What::Told(record.clone()));
        match &record.event {
            Event::Frozen { .. } => self.frozen = Some(self.wire.now()),
            Event::Unfrozen {} | Event::Resumed { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                self.frozen = None;
            }
            _ => {}
        }
    }

    fn turn(&mut self, state: &State, _: &Observed, _: &[Wait], _: Timestamp) {
        if state.phase == Phase::AwaitingApproval && self.approved != state.step {
            self.approved = state.step;
            let _ = self.disk.add_request(&state.run, &Request::Approve { by: "bob@lab".into() });
        }
        if self.frozen.is_some_and(|since| self.wire.now().duration_since(since) > STALL) {
            self.interrupt.request(StopReason::Waiting, "frozen for too long");
        }
    }
}
