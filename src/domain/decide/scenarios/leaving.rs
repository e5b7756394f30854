//! Tests when a process of `cutover step` exits, and which conditions keep it running.

use super::*;
use crate::domain::traffic::RouteId;

impl Sim {
    /// Makes this process a `cutover step` that may exit at once.
    fn into_step_command(mut self) -> Self {
        self.orders.exit_after = Some(self.now);
        self
    }

    /// Ends this process, and starts a new `cutover step` this many seconds later.
    fn next_process_after(mut self, seconds: i64) -> Self {
        self.apply(Event::Stopped { reason: StopReason::Waiting, message: String::new() });
        let last = self.now;
        self.now += SignedDuration::from_secs(seconds);
        let poll = Duration::from_secs(POLL.unsigned_abs());
        self.watch =
            Observed::new(self.now, poll, Duration::from_mins(5)).with_observe_every(self.plan.strategy.observe_every);
        let is_continuous_process = is_continuous(&self.plan, last, self.now);
        self.apply(Event::ProcessStarted {
            owner: String::new(),
            pid: 1,
            tool: String::new(),
            continuous: is_continuous_process,
        });
        self.into_step_command()
    }

    fn every(mut self, minutes: u64) -> Self {
        self.plan.strategy.observe_every = Some(Duration::from_mins(minutes));
        self
    }
}

fn exit_of(decision: &Decision) -> (StopReason, &str) {
    let Decision::Exit(stop, message) = decision else { panic!("an exit was expected, not {decision:?}") };
    (*stop, message)
}

#[test]
fn bake_progress_is_journaled_before_the_process_exits() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(20, &ok(10), &ok(1));
    let mut sim = sim.into_step_command();
    let decision = sim.observe_after(POLL, &ok(10), &ok(1));
    let (stop, message) = exit_of(&decision);
    assert_eq!(stop, StopReason::Waiting);
    assert!(message.starts_with("waiting: baking for 10m, until 1970-01-12 "), "{message}");
    assert_eq!(sim.state.baked.observed, Duration::from_secs(25));
}

#[test]
fn calls_within_observe_every_count_as_one_bake() {
    let mut sim = Sim::at_step(3, 10).every(6).into_step_command();
    sim.observe_after(POLL, &ok(10), &ok(1));
    for call in 1..=2 {
        sim = sim.next_process_after(290);
        let decision = sim.observe_after(POLL, &ok(10), &ok(1));
        assert_eq!(sim.state.baked.observed, Duration::from_secs(5 + call * 295), "{decision:?}");
    }
    let mut sim = sim.next_process_after(290);
    sim.observe_after(POLL, &ok(10), &ok(1));
    assert!(sim.events.contains(&Event::StepDone { step: 3 }), "{:?}", sim.state.baked);
    let gaps = sim.events.iter().any(|e| matches!(e, Event::Baked { gap, .. } if *gap > 0));
    assert!(!gaps, "{:?}", sim.events);
}

#[test]
fn calls_beyond_observe_every_leave_a_gap_in_the_bake() {
    for (every, pause) in [(Some(5), 300), (None, 10)] {
        let mut sim = Sim::at_step(3, 10);
        sim.plan.strategy.observe_every = every.map(Duration::from_mins);
        let mut sim = sim.into_step_command();
        sim.observe_after(POLL, &ok(10), &ok(1));
        let mut sim = sim.next_process_after(pause);
        sim.observe_after(POLL, &ok(10), &ok(1));
        assert!(sim.state.baked.observed <= Duration::from_secs(10), "{every:?}: {:?}", sim.state.baked);
        let gap = sim
            .events
            .iter()
            .find_map(|e| if let Event::Baked { gap, .. } = e { Some(*gap).filter(|g| *g > 0) } else { None });
        assert!(gap.is_some(), "{every:?}: {:?}", sim.events);
    }
}

#[test]
fn process_does_not_exit_while_a_guard_is_failing() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    let mut sim = sim.into_step_command();
    let waiting = sim.observe_for(60, &ok(10), &Ok((6, 4)));
    assert!(matches!(waiting, Decision::Wait(_)), "{waiting:?}");
    let decision = sim.observe_for(40, &ok(10), &Ok((6, 4)));
    assert!(sim.rolls_back() && matches!(decision, Decision::Write(_)), "{decision:?}");
    // The same applies to a paused run.
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    sim.apply(Event::Paused { by: "alice".into(), reason: String::new(), request: None });
    let mut sim = sim.into_step_command();
    assert!(matches!(sim.observe_after(POLL, &ok(10), &Ok((6, 4))), Decision::Wait(_)));
    assert_eq!(exit_of(&sim.observe_after(POLL, &ok(10), &ok(10))).0, StopReason::Waiting);
}

#[test]
fn process_exits_while_a_gate_lacks_targets_but_not_while_it_only_must_stay_healthy() {
    let mut sim = Sim::at_step(4, 40).into_step_command();
    let short = sim.observe_after(POLL, &ok(40), &ok(4));
    assert!(exit_of(&short).1.contains("webapp-b has 4 of the 20 healthy targets that 50 % needs"), "{short:?}");
    let holds = sim.observe_after(POLL, &ok(40), &ok(20));
    assert!(messages(&holds).contains("must stay healthy for a while"), "{holds:?}");
    assert!(matches!(sim.observe_for(30, &ok(40), &ok(20)), Decision::Write(_)));
}

#[test]
fn gate_time_out_continues_across_continuous_calls() {
    for (every, froze) in [(6, vec![FreezeReason::GateTimeout]), (4, vec![])] {
        let mut sim = Sim::at_step(4, 40).every(every).into_step_command();
        sim.observe_after(POLL, &ok(40), &ok(4));
        for _ in 0..5 {
            sim = sim.next_process_after(295);
            sim.observe_after(POLL, &ok(40), &ok(4));
        }
        assert_eq!(sim.froze(), froze, "observeEvery: {every}m");
    }
}

#[test]
fn process_does_not_exit_before_writes_have_settled() {
    let mut sim = Sim::at_step(4, 10).into_step_command();
    let Decision::Write(batch) = sim.observe_for(60, &ok(10), &ok(10)) else { panic!("a write was expected") };
    let deadline = sim.now + SignedDuration::from_secs(10);
    let (first, second) = (&batch.writes[0], &batch.writes[1]);
    sim.apply(Event::Intended { restore: false, deadline, writes: batch.writes.clone() });
    let applied = |route: &RouteId| Event::Outcome {
        route: route.clone(),
        result: crate::domain::run::event::WriteResult::Applied,
        live: Some(first.set.clone()),
        detail: None,
    };
    sim.apply(applied(&first.route));
    let open = Event::Outcome {
        route: second.route.clone(),
        result: crate::domain::run::event::WriteResult::Unknown,
        live: None,
        detail: None,
    };
    sim.apply(open);
    assert!(
        matches!(sim.observe_after(POLL, &ok(10), &ok(10)), Decision::Wait(_)),
        "the process must not exit while a write is open"
    );
    sim.apply(applied(&second.route));
    let settling = sim.observe_after(POLL, &ok(10), &ok(10));
    assert!(messages(&settling).contains("settling"), "{settling:?}");
    let after = sim.observe_for(60, &ok(10), &ok(10));
    assert!(sim.events.contains(&Event::StepDone { step: 4 }));
    assert!(exit_of(&after).1.contains("until promoted"), "{after:?}");
}

#[test]
fn process_exits_after_failed_readings_have_frozen_the_run() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(5));
    let mut sim = sim.into_step_command();
    let failed_reading = Err(Unreadable::Throttled);
    assert!(matches!(sim.observe_for(55, &ok(10), &failed_reading), Decision::Wait(_)));
    let frozen = sim.observe_for(10, &ok(10), &failed_reading);
    assert_eq!((exit_of(&frozen).0, sim.froze()), (StopReason::Waiting, vec![FreezeReason::Unreadable]));
}

#[test]
fn process_exits_at_once_after_a_failed_guard_has_frozen_the_run() {
    let mut sim = Sim::at_step(5, 10);
    sim.plan.strategy.on_failure = OnFailure::Pause;
    sim.orders.exit_after = Some(sim.now + SignedDuration::from_hours(1));
    sim.observe_for(30, &ok(10), &ok(10));
    let stuck = sim.observe_after(POLL, &ok(10), &Ok((0, 10)));
    assert_eq!(exit_of(&stuck).0, StopReason::Stuck);
}

#[test]
fn due_measurements_are_taken_before_the_process_exits() {
    use crate::domain::metric::gate::{MeasuredValue, Measurement};
    use crate::plan::model::metric::{GateCondition, GateScope, MetricCommand, MetricGate, MetricSource, NoData};
    let minute = Duration::from_mins(1);
    let mut sim = Sim::at_step(3, 10);
    sim.plan.strategy.metrics = vec![MetricGate {
        name: "errors".into(),
        scope: GateScope::Plan,
        raise: true,
        guard: true,
        interval: minute,
        initial_delay: Duration::ZERO,
        window: minute,
        delay: Duration::ZERO,
        no_data: NoData::Hold,
        min_requests: 0,
        failure_limit: 0,
        dry_run: false,
        source: MetricSource::Exec(MetricCommand { command: vec!["true".into()], timeout: minute }),
        condition: GateCondition::Condition { at_most: Some(1.0), at_least: None },
    }];
    sim.observe_for(120, &ok(10), &ok(1));
    let mut sim = sim.into_step_command();
    let waiting = sim.observe_after(POLL, &ok(10), &ok(1));
    assert!(matches!(waiting, Decision::Wait(_)), "{waiting:?}");
    let measurement = Measurement {
        from: sim.now - SignedDuration::from_secs(60),
        to: sim.now,
        seen: MeasuredValue::Value { value: 0.1 },
    };
    sim.apply(Event::GateMeasured { gate: "errors".into(), measurement });
    assert!(exit_of(&sim.observe_after(POLL, &ok(10), &ok(1))).1.contains("baking"));
    // The measurements that are due after the time of the process belong to the next process.
    sim.plan.strategy.metrics[0].interval = Duration::from_secs(1);
    assert!(exit_of(&sim.observe_after(POLL, &ok(10), &ok(1))).1.contains("baking"));
}
