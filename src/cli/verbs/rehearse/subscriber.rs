//! The subscriber of a rehearsal: reports the progress of the run to the lab, measures what clients saw, and acts as
//! the operators of the scenario.

use jiff::{SignedDuration, Timestamp};

use crate::adapter::store::memory::MemoryStore;
use crate::app::view::WayBackView;
use crate::base::time::later;
use crate::cli::render::report::ClientResults;
use crate::domain::decide::{stop_reason_now, way_back};
use crate::domain::run::event::{ClientMeasurement, Event, MeasuredTime, Record, ResumeMode, StopReason, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Frozen, Phase, State};
use crate::engine::{Interrupt, Subscriber};
use crate::lab::model::{OperatorRequest, World};
use crate::lab::rehearsal::{APPROVAL_DELAY, RehearsalLab};
use crate::port::store::Request;

/// How long a rehearsal may be frozen or paused. After this time nothing in the scenario will change that, and the rehearsal
/// ends.
const FROZEN_LIMIT: SignedDuration = SignedDuration::from_mins(45);

/// The limit, for people.
const LIMIT_TEXT: &str = "45 minutes of the lab's time";

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
    /// The step of the last record.
    step: usize,
    /// Whether the run is rolling back, or was rolled back.
    rolling_back: bool,
    measured: Vec<(Timestamp, ClientMeasurement)>,
    /// The messages of the lab about its faults that were reported.
    faults: Vec<(Timestamp, String)>,
    /// The number of messages that were reported in an earlier run of this lab.
    reported_before: usize,
    unhappened: Vec<String>,
    /// The number of requests and of failed requests until each time of the run.
    totals: Vec<(Timestamp, u64, u64)>,
    /// The healthy targets of the way back at the last observation.
    way_back: Vec<WayBackView>,
    /// The time of the observation that `way_back` was computed from.
    way_back_at: Option<Timestamp>,
}

impl<'a> RehearsalSubscriber<'a> {
    /// Creates the subscriber. Must be called before the first record.
    pub fn new(inner: &'a mut dyn Subscriber, lab: &'a RehearsalLab, store: MemoryStore, run: &str) -> Self {
        let (run, interrupt) = (run.into(), Interrupt::default());
        Self {
            inner,
            lab,
            store,
            run,
            interrupt,
            approved: 0,
            paused_since: None,
            step: 0,
            rolling_back: false,
            measured: Vec::new(),
            faults: Vec::new(),
            reported_before: lab.model().call(|world, _| world.fault_messages().len()),
            unhappened: Vec::new(),
            totals: Vec::new(),
            way_back: Vec::new(),
            way_back_at: None,
        }
    }

    /// Records that a new process drives the run, which `interrupt` can stop.
    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    /// Returns the results of the clients' requests, and the faults that never happened.
    pub fn into_results(self) -> ClientResults {
        let (requests, errors) = self.lab.client_totals();
        ClientResults {
            steps: self.measured,
            requests,
            errors,
            faults: self.faults,
            unhappened: self.unhappened,
            totals: self.totals,
        }
    }

    /// Returns the healthy targets of the way back at the last observation.
    pub fn way_back(&self) -> Vec<WayBackView> {
        self.way_back.clone()
    }

    /// Measures the clients' requests after the end of the run. After the `last` run of the rehearsal, also reports the
    /// faults that never happened. Returns the
    /// sentence about failed requests that stopped nothing, if the run completed with such requests.
    pub fn conclude(&mut self, finished: bool, last: bool) -> Option<String> {
        self.report_faults();
        let now = self.lab.clock.now();
        if finished {
            let time = if self.rolling_back { MeasuredTime::AfterRollback } else { MeasuredTime::AfterRun };
            let measured = self.lab.measure_rest(self.step, time);
            self.report_clients(now, measured);
        }
        if last {
            self.unhappened = self.lab.model().call(|world, _| world.faults_that_never_happened());
        }
        for message in self.unhappened.clone() {
            let event = Event::Notice { message, refused: None, request: None };
            self.inner.record(&Record::new(0, now, self.run.clone(), event));
        }
        let (requests, errors) = self.lab.client_totals();
        let clients = ClientResults { requests, errors, ..ClientResults::default() };
        clients.unseen_failures(&self.lab.plan).filter(|_| finished && !self.rolling_back)
    }

    /// Reports a sentence as a record, for output that has no last lines.
    pub fn report(&mut self, message: String) {
        let event = Event::Notice { message, refused: None, request: None };
        self.inner.record(&Record::new(0, self.lab.clock.now(), self.run.clone(), event));
    }

    /// Records a measurement of the clients, and forwards it.
    fn report_clients(&mut self, at: Timestamp, measured: Option<ClientMeasurement>) {
        let Some(measured) = measured else { return };
        self.measured.push((at, measured.clone()));
        self.inner.record(&Record::new(0, at, self.run.clone(), Event::ClientsMeasured(measured)));
    }

    /// Reports the faults of the scenario that have begun or ended since the last call.
    fn report_faults(&mut self) {
        let known = self.reported_before + self.faults.len();
        let new = self.lab.model().call(|world, _| world.fault_messages().get(known..).unwrap_or_default().to_vec());
        for (at, text) in new {
            let message = format!("scenario: {text}");
            self.faults.push((at, message.clone()));
            let event = Event::Notice { message, refused: None, request: None };
            self.inner.record(&Record::new(0, at, self.run.clone(), event));
        }
    }

    /// Reads the counters of the clients, for the chart in the report.
    fn count_requests(&mut self) {
        let (now, (requests, errors)) = (self.lab.clock.now(), self.lab.client_totals());
        if self.totals.last().is_none_or(|(at, ..)| *at < now) {
            self.totals.push((now, requests, errors));
        }
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
        self.report_faults();
        self.count_requests();
        let measured = self.lab.on_event(&record.event);
        self.report_clients(record.time, measured);
        match &record.event {
            Event::StepStarted { step, .. } => self.step = *step,
            Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                self.rolling_back = true;
                // The requests before the rollback do not count for a step.
                self.lab.start_measuring();
            }
            Event::Finished { .. } | Event::Stopped { .. } if self.rolling_back => {
                let measured = self.lab.measure_rest(self.step, MeasuredTime::Rollback);
                self.report_clients(record.time, measured);
            }
            Event::Finished { .. } => self.lab.start_measuring(),
            _ => {}
        }
        self.inner.record(record);
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        self.report_faults();
        self.count_requests();
        // Without a new reading, the way back is the same.
        if self.way_back_at != Some(watch.last_attempt) {
            self.way_back_at = Some(watch.last_attempt);
            self.way_back = way_back(state, watch).into_iter().map(WayBackView::from).collect();
        }
        self.approve(state, now);
        self.send_scenario_requests();
        if let Some(Frozen { reason, since, .. }) = &state.frozen
            && now.duration_since(*since) >= FROZEN_LIMIT
        {
            let stop = stop_reason_now(*reason, state, watch);
            self.interrupt.request(stop, format!("the rehearsal ends, because the run stays frozen ({LIMIT_TEXT})"));
        }
        if state.rollback.as_ref().is_some_and(|rollback| now.duration_since(rollback.since) >= FROZEN_LIMIT) {
            self.interrupt.request(
                StopReason::Stuck,
                format!("the rehearsal ends, because the rollback does not end ({LIMIT_TEXT})"),
            );
        }
        // Only a person would resume the run.
        let paused_since = state.paused.as_ref().map(|_| *self.paused_since.get_or_insert(now));
        self.paused_since = paused_since;
        if paused_since.is_some_and(|since| now.duration_since(since) >= FROZEN_LIMIT) {
            self.interrupt.request(
                StopReason::Waiting,
                format!("the rehearsal ends, because the run stays paused ({LIMIT_TEXT})"),
            );
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
