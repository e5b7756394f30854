//! The rehearsal's audience: it informs the lab of the run's progress, measures what clients saw, and acts as the
//! scenario's operators.

use jiff::{SignedDuration, Timestamp};

use crate::adapter::store::memory::MemoryStore;
use crate::base::time::later;
use crate::domain::run::event::{Event, Record, ResumeMode, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Frozen, Phase, State};
use crate::engine::{Audience, Interrupt};
use crate::lab::model::{OperatorRequest, World};
use crate::lab::rehearsal::{APPROVAL, RehearsalLab};
use crate::port::store::Request;

/// A rehearsal that is frozen for this long ends: nothing in the scenario will change that.
const FROZEN_LIMIT: SignedDuration = SignedDuration::from_mins(45);

/// The audience of a rehearsal.
pub struct RehearsalAudience<'a> {
    inner: &'a mut dyn Audience,
    stage: &'a RehearsalLab,
    store: MemoryStore,
    run: String,
    interrupt: Interrupt,
    approved: usize,
}

impl<'a> RehearsalAudience<'a> {
    /// Must be created before the first record.
    pub fn new(inner: &'a mut dyn Audience, stage: &'a RehearsalLab, store: MemoryStore, run: &str) -> Self {
        Self { inner, stage, store, run: run.into(), interrupt: Interrupt::default(), approved: 0 }
    }

    /// A new process drives the run.
    pub fn restarted(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    fn approve(&mut self, state: &State, now: Timestamp) {
        if state.phase == Phase::AwaitingApproval
            && self.approved != state.step
            && now >= later(state.step_since, APPROVAL)
        {
            self.approved = state.step;
            // `pause: {}` accepts an approval, too. In memory this cannot fail.
            let _ = self.store.add_request(&self.run, &Request::Approve { by: "rehearsal@lab".into() });
        }
    }

    /// Sends the requests of the scenario's operators.
    fn send_scenario_requests(&mut self) {
        for asked in self.stage.shell().change(World::operator_requests) {
            let _ = self.store.add_request(&self.run, &request(asked));
        }
    }
}

impl Audience for RehearsalAudience<'_> {
    fn record(&mut self, record: &Record) {
        if let Some(measured) = self.stage.on_event(&record.event) {
            let Record { time, run, .. } = record.clone();
            self.inner.record(&Record::new(0, time, run, Event::ClientsMeasured(measured)));
        }
        self.inner.record(record);
    }

    fn turn(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        self.approve(state, now);
        self.send_scenario_requests();
        if let Some(Frozen { message, since, .. }) = &state.frozen
            && now.duration_since(*since) >= FROZEN_LIMIT
        {
            self.interrupt
                .request(StopReason::Waiting, format!("the rehearsal ends, because the run stays frozen: {message}"));
        }
        self.inner.turn(state, watch, waits, now);
    }
}

fn request(asked: OperatorRequest) -> Request {
    let by = "person@lab".to_owned();
    match asked {
        OperatorRequest::Approve => Request::Approve { by },
        OperatorRequest::Promote => Request::Promote { by, full: false },
        OperatorRequest::Pause => Request::Pause { by, reason: "the scenario says so".into() },
        OperatorRequest::Resume => Request::Resume { by, mode: ResumeMode::PLAIN },
        OperatorRequest::Abort => Request::Abort { by, to_step: None },
    }
}
