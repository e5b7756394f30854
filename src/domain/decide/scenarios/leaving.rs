//! A process of `cutover step`: when it exits, and what it stays for.

use super::*;
use crate::domain::traffic::RouteId;

impl Sim {
    /// Returns a process of `cutover step` that may exit at once.
    fn into_step_command(mut self) -> Self {
        self.orders.exit_after = Some(self.now);
        self
    }

    /// Returns a new process that starts so many seconds after the last one exited.
    fn next_process_after(mut self, seconds: i64) -> Self {
        self.apply(Event::Stopped { reason: StopReason::Waiting, message: String::new() });
        let last = self.now;
        self.now += SignedDuration::from_secs(seconds);
        let poll = Duration::from_secs(POLL.unsigned_abs());
        self.watch =
            Observed::new(self.now, poll, Duration::from_mins(5)).with_observe_every(self.plan.strategy.observe_every);
        let onward = is_continuous(&self.plan, last, self.now);
        self.apply(Event::ProcessStarted { owner: String::new(), pid: 1, tool: String::new(), continuous: onward });
        self.into_step_command()
    }

    fn every(mut self, minutes: u64) -> Self {
        self.plan.strategy.observe_every = Some(Duration::from_mins(minutes));
        self
    }
}

fn left(decision: &Decision) -> (StopReason, &str) {
    let Decision::Exit(stop, message) = decision else { panic!("{decision:?}") };
    (*stop, message)
}

#[test]
fn a_bake_is_left_with_what_was_seen_of_it_in_the_journal() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(20, &ok(10), &ok(1));
    let mut sim = sim.into_step_command();
    let decision = sim.observe_after(POLL, &ok(10), &ok(1));
    let (stop, message) = left(&decision);
    assert_eq!(stop, StopReason::Waiting);
    assert!(message.starts_with("waiting: baking for 10m, until 1970-01-12 "), "{message}");
    assert_eq!(sim.state.baked.observed, Duration::from_secs(25));
}

#[test]
fn calls_that_are_no_further_apart_than_the_plan_says_are_one_bake() {
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
fn calls_further_apart_and_calls_of_a_plan_that_does_not_say_leave_a_gap() {
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
fn a_failing_guard_is_stayed_for_until_it_holds_or_fails() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    let mut sim = sim.into_step_command();
    let waiting = sim.observe_for(60, &ok(10), &Ok((6, 4)));
    assert!(matches!(waiting, Decision::Wait(_)), "{waiting:?}");
    let decision = sim.observe_for(40, &ok(10), &Ok((6, 4)));
    assert!(sim.rolls_back() && matches!(decision, Decision::Write(_)), "{decision:?}");
    // Also in a paused run, and after drift.
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    sim.apply(Event::Paused { by: "alice".into(), reason: String::new(), request: None });
    let mut sim = sim.into_step_command();
    assert!(matches!(sim.observe_after(POLL, &ok(10), &Ok((6, 4))), Decision::Wait(_)));
    assert_eq!(left(&sim.observe_after(POLL, &ok(10), &ok(10))).0, StopReason::Waiting);
}

#[test]
fn a_gate_that_lacks_something_is_left_and_one_that_only_has_to_hold_is_not() {
    let mut sim = Sim::at_step(4, 40).into_step_command();
    let short = sim.observe_after(POLL, &ok(40), &ok(4));
    assert!(left(&short).1.contains("webapp-b has 4 of the 20 healthy targets that 50 % needs"), "{short:?}");
    let holds = sim.observe_after(POLL, &ok(40), &ok(20));
    assert!(messages(&holds).contains("must stay healthy for a while"), "{holds:?}");
    assert!(matches!(sim.observe_for(30, &ok(40), &ok(20)), Decision::Write(_)));
}

#[test]
fn a_gates_time_out_goes_on_over_calls_that_count_as_one() {
    for (every, froze) in [(6, vec![FreezeReason::GateTimeout]), (4, vec![])] {
        let mut sim = Sim::at_step(4, 40).every(every).into_step_command();
        sim.observe_after(POLL, &ok(40), &ok(4));
        for _ in 0..5 {
            sim = sim.next_process_after(295);
            sim.observe_after(POLL, &ok(40), &ok(4));
        }
        assert_eq!(sim.froze(), froze, "{every} minutes");
    }
}

#[test]
fn what_was_written_is_stayed_for_until_it_has_settled() {
    let mut sim = Sim::at_step(4, 10).into_step_command();
    let Decision::Write(batch) = sim.observe_for(60, &ok(10), &ok(10)) else { panic!("no write") };
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
    assert!(matches!(sim.observe_after(POLL, &ok(10), &ok(10)), Decision::Wait(_)), "a write is open");
    sim.apply(applied(&second.route));
    let settling = sim.observe_after(POLL, &ok(10), &ok(10));
    assert!(messages(&settling).contains("settling"), "{settling:?}");
    let after = sim.observe_for(60, &ok(10), &ok(10));
    assert!(sim.events.contains(&Event::StepDone { step: 4 }));
    assert!(left(&after).1.contains("until promoted"), "{after:?}");
}

#[test]
fn what_cannot_be_read_is_stayed_for_until_the_run_is_frozen_by_it() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(5));
    let mut sim = sim.into_step_command();
    let blind = Err(Unreadable::Throttled);
    assert!(matches!(sim.observe_for(55, &ok(10), &blind), Decision::Wait(_)));
    let frozen = sim.observe_for(10, &ok(10), &blind);
    assert_eq!((left(&frozen).0, sim.froze()), (StopReason::Waiting, vec![FreezeReason::Unreadable]));
}

#[test]
fn drift_and_failures_are_left_at_once_whatever_time_there_is() {
    let mut sim = Sim::at_step(5, 10);
    sim.plan.strategy.on_failure = OnFailure::Pause;
    sim.orders.exit_after = Some(sim.now + SignedDuration::from_hours(1));
    sim.observe_for(30, &ok(10), &ok(10));
    let stuck = sim.observe_after(POLL, &ok(10), &Ok((0, 10)));
    assert_eq!(left(&stuck).0, StopReason::Stuck);
}

#[test]
fn what_can_be_measured_is_measured_before_anybody_leaves() {
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
    assert!(left(&sim.observe_after(POLL, &ok(10), &ok(1))).1.contains("baking"));
}
