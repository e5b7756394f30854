//! The subscriber of a rehearsal: reports the progress of the run to the lab, measures what clients saw, and acts as
//! the operators of the scenario.

use jiff::{SignedDuration, Timestamp};

use crate::adapter::store::memory::MemoryStore;
use crate::base::time::later;
use crate::domain::run::event::{ClientMeasurement, Event, Record, ResumeMode, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Frozen, Phase, State};
use crate::engine::{Interrupt, Subscriber};
use crate::lab::model::{OperatorRequest, World};
use crate::lab::rehearsal::{APPROVAL_DELAY, RehearsalLab};
use crate::port::store::Request;

/// How long a rehearsal may be frozen or paused. After this time nothing in the scenario will change that, and the rehearsal
/// ends.
const FROZEN_LIMIT: SignedDuration = SignedDuration::from_mins(45);

/// Receives the events of a rehearsal and forwards them to another subscriber.
pub struct RehearsalSubscriber<'a> {
    inner: &'a mut dyn Subscriber,
    lab: &'a RehearsalLab,
    store: MemoryStore,
    run: String,
    interrupt: Interrupt,
    approved: usize,
    /// Since when the run is paused.
    paused_since: Option<Timestamp>,
    measured: Vec<(Timestamp, ClientMeasurement)>,
}

impl<'a> RehearsalSubscriber<'a> {
    /// Creates the subscriber. Must be called before the first record.
    pub fn new(inner: &'a mut dyn Subscriber, lab: &'a RehearsalLab, store: MemoryStore, run: &str) -> Self {
        let (run, interrupt) = (run.into(), Interrupt::default());
        Self { inner, lab, store, run, interrupt, approved: 0, paused_since: None, measured: Vec::new() }
    }

    /// Records that a new process drives the run, which `interrupt` can stop.
    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    /// Returns what the clients saw of each step, with the time of the measurement.
    pub fn into_measured(self) -> Vec<(Timestamp, ClientMeasurement)> {
        self.measured
    }

    fn approve(&mut self, state: &State, now: Timestamp) {
        if state.phase == Phase::AwaitingApproval
            && self.approved != state.step
            && now >= later(state.step_since, APPROVAL_DELAY)
        {
            self.approved = state.step;
            // `pause: {}` also accepts an approval. A store in memory never fails.
            let _ = self.store.add_request(&self.run, &Request::Approve { by: "rehearsal@lab".into() });
        }
    }

    /// Sends the operator requests of the scenario to the run.
    fn send_scenario_requests(&mut self) {
        for operator_request in self.lab.model().change(World::operator_requests) {
            let _ = self.store.add_request(&self.run, &request(operator_request));
        }
    }
}

impl Subscriber for RehearsalSubscriber<'_> {
    fn record(&mut self, record: &Record) {
        if let Some(measured) = self.lab.on_event(&record.event) {
            let Record { time, run, .. } = record.clone();
            self.measured.push((time, measured.clone()));
            self.inner.record(&Record::new(0, time, run, Event::ClientsMeasured(measured)));
        }
        self.inner.record(record);
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        self.approve(state, now);
        self.send_scenario_requests();
        if let Some(Frozen { message, since, .. }) = &state.frozen
            && now.duration_since(*since) >= FROZEN_LIMIT
        {
            self.interrupt
                .request(StopReason::Waiting, format!("the rehearsal ends, because the run stays frozen: {message}"));
        }
        // Only a person would resume the run.
        let paused_since = state.paused.as_ref().map(|_| *self.paused_since.get_or_insert(now));
        self.paused_since = paused_since;
        if paused_since.is_some_and(|since| now.duration_since(since) >= FROZEN_LIMIT) {
            self.interrupt.request(StopReason::Waiting, "the rehearsal ends, because the run stays paused");
        }
        self.inner.iteration_ended(state, watch, waits, now);
    }
}

fn request(operator_request: OperatorRequest) -> Request {
    let by = "person@lab".to_owned();
    match operator_request {
        OperatorRequest::Approve => Request::Approve { by },
        OperatorRequest::Promote => Request::Promote { by, full: false },
        OperatorRequest::Pause => Request::Pause { by, reason: "requested by the scenario".into() },
        OperatorRequest::Resume => Request::Resume { by, mode: ResumeMode::PLAIN, ignore_hours: None },
        OperatorRequest::Abort => Request::Abort { by, to_step: None },
    }
}
