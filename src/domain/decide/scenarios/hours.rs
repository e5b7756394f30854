//! Tests windows, and approvals that time out.

use jiff::civil::{Weekday, time};

use super::*;
use crate::base::hours::{Window, zone};
use crate::domain::run::event::IgnoredHours;
use crate::domain::run::state::AUTOMATIC;
use crate::plan::model::{ApprovalTimeout, OnTimeout};

impl Sim {
    /// Adds a window on Mondays between these times. The simulated time starts on a Monday at 13:46:40 UTC.
    fn window(mut self, from: (i8, i8), to: (i8, i8)) -> Self {
        let clock = |(h, m)| time(h, m, 0, 0);
        let utc = zone("UTC").expect("the zone UTC must exist");
        self.plan.strategy.hours.windows =
            vec![Window { days: vec![Weekday::Monday], from: clock(from), to: Some(clock(to)), zone: utc }];
        self
    }

    fn timed(mut self, then: OnTimeout) -> Self {
        self.plan.strategy.steps[4].approval_timeout = Some(ApprovalTimeout { after: Duration::from_mins(30), then });
        self
    }

    fn timed_out(&self) -> usize {
        self.events.iter().filter(|e| matches!(e, Event::TimedOut { .. })).count()
    }
}

fn reasons(decision: &Decision) -> Vec<WaitReason> {
    let Decision::Wait(waits) = decision else { panic!("a wait was expected, not {decision:?}") };
    waits.iter().map(|w| w.reason).collect()
}

#[test]
fn raising_step_waits_for_a_window_but_the_guard_does_not() {
    // The ten minutes of bake end at about 13:57; the next step and its approval take 15 seconds.
    let mut sim = Sim::at_step(3, 10).window((14, 30), (17, 0));
    let waiting = sim.observe_for(30 * 60, &ok(10), &ok(10));
    assert_eq!(reasons(&waiting), [WaitReason::Window], "{waiting:?}");
    assert!(messages(&waiting).contains("the step starts Mon 1970-01-12 14:30 UTC"), "{waiting:?}");
    let begin_decision = sim.observe_for(15 * 60, &ok(10), &ok(10));
    assert!(matches!(begin_decision, Decision::Write(_)), "{begin_decision:?}");
    let mut sim = Sim::at_step(3, 10).window((14, 30), (17, 0));
    sim.observe_for(20 * 60, &ok(10), &ok(10));
    let Decision::Write(batch) = sim.observe_after(POLL, &ok(10), &Ok((0, 10))) else { panic!("a write was expected") };
    assert!(batch.restore && sim.rolls_back());
}

#[test]
fn step_whose_gate_passes_after_the_window_waits_for_the_next_window_with_a_new_time_out() {
    let mut sim = Sim::at_step(4, 40).window((13, 0), (13, 55));
    sim.observe_for(5 * 60, &ok(40), &ok(4));
    let closed = sim.observe_for(5 * 60, &ok(40), &ok(20));
    assert_eq!(reasons(&closed), [WaitReason::Window], "{closed:?}");
    sim.observe_for(60 * 60, &ok(40), &ok(4));
    assert_eq!(sim.froze(), [], "the time-out must not run while the window is closed");
    // The simulated time moves to the next Monday.
    sim.now += SignedDuration::from_hours(7 * 24 - 2);
    let waiting = sim.observe_for(19 * 60, &ok(40), &ok(4));
    assert_eq!((reasons(&waiting), sim.froze()), (vec![WaitReason::RaiseGate], vec![]), "{waiting:?}");
}

#[test]
fn partly_written_step_continues_after_the_window_closes() {
    let mut sim = Sim::at_step(4, 10).window((13, 0), (13, 50));
    let Decision::Write(batch) = sim.observe_for(60, &ok(10), &ok(10)) else { panic!("a write was expected") };
    let first = batch.writes[0].clone();
    let deadline = sim.now + SignedDuration::from_secs(10);
    sim.apply(Event::Intended { restore: false, deadline, writes: vec![first.clone()] });
    let result = crate::domain::run::event::WriteResult::Applied;
    sim.apply(Event::Outcome { route: first.route, result, live: Some(first.set), detail: None });
    let later = sim.observe_for(5 * 60, &ok(10), &ok(10));
    assert!(matches!(later, Decision::Write(ref rest) if rest.writes.len() == 1), "{later:?}");
}

#[test]
fn step_command_exits_while_the_run_waits_for_a_window() {
    let mut sim = Sim::at_step(4, 10).window((20, 0), (21, 0));
    sim.orders.exit_after = Some(sim.now);
    let decision = sim.observe_after(POLL, &ok(10), &ok(10));
    assert!(
        matches!(&decision, Decision::Exit(StopReason::Waiting, why) if why.contains("until 1970-01-12 20:00:00 UTC")),
        "{decision:?}"
    );
}

#[test]
fn approval_time_out_has_the_configured_effect() {
    let run_past_time_out = |then| {
        let mut sim = Sim::at_step(5, 10).timed(then);
        let waiting = sim.observe_for(29 * 60, &ok(10), &ok(10));
        let Decision::Wait(waits) = &waiting else { panic!("a wait was expected, not {waiting:?}") };
        assert_eq!(
            waits[0].until,
            Some(Timestamp::from_second(1_000_000 + 30 * 60).expect("the test's timestamp must be valid"))
        );
        assert_eq!(sim.timed_out(), 0);
        let decision = sim.observe_for(90, &ok(10), &ok(10));
        assert_eq!(sim.timed_out(), 1);
        (sim, decision)
    };
    let (sim, decision) = run_past_time_out(OnTimeout::Proceed);
    assert!(sim.state.step == 6 && sim.state.phase == Phase::Shifting, "{decision:?}");
    let (sim, _) = run_past_time_out(OnTimeout::Rollback);
    let rollback = sim.state.rollback.as_ref().map(|r| (r.cause.as_str(), r.by.as_str()));
    assert_eq!(rollback, Some(("not approved within 30m", AUTOMATIC)));
    let (mut sim, decision) = run_past_time_out(OnTimeout::Pause);
    assert_eq!(reasons(&decision), [WaitReason::Paused]);
    // A late approval is not enough: the run must also be resumed.
    sim.apply(Event::Approved { step: 5, by: "alice".into(), request: None });
    assert_eq!(reasons(&sim.observe_for(3600, &ok(10), &ok(10))), [WaitReason::Paused]);
    sim.apply(Event::Resumed { by: "alice".into(), mode: ResumeMode::PLAIN, ignore_hours: None, request: None });
    sim.observe_after(POLL, &ok(10), &ok(10));
    assert_eq!((sim.state.step, sim.timed_out()), (6, 1));
}

#[test]
fn run_resumed_without_an_approval_waits_for_the_approval_without_limit() {
    let mut sim = Sim::at_step(5, 10).timed(OnTimeout::Pause);
    sim.observe_for(31 * 60, &ok(10), &ok(10));
    sim.apply(Event::Resumed { by: "alice".into(), mode: ResumeMode::PLAIN, ignore_hours: None, request: None });
    let waiting = sim.observe_for(2 * 3600, &ok(10), &ok(10));
    assert_eq!((reasons(&waiting), sim.timed_out()), (vec![WaitReason::Approval], 1));
}

#[test]
fn an_operator_starts_one_raise_outside_of_the_hours() {
    let mut sim = Sim::at_step(3, 10).window((14, 30), (17, 0));
    let waiting = sim.observe_for(11 * 60, &ok(10), &ok(10));
    assert_eq!(reasons(&waiting), [WaitReason::Window]);
    assert_eq!(crate::domain::decide::hours::next_bound_step(&sim.plan.strategy, &sim.state), Some(4));
    let ignore_hours = Some(IgnoredHours { step: 4, reason: "agreed with sales".into() });
    sim.apply(Event::Resumed { by: "alice".into(), mode: ResumeMode::PLAIN, ignore_hours, request: None });
    let begun = sim.observe_for(60, &ok(10), &ok(10));
    assert!(matches!(begun, Decision::Write(_)), "{begun:?}");
    assert_eq!(sim.state.hours_ignored_for(4).map(|ignored| ignored.why.as_str()), Some("agreed with sales"));
    assert_eq!(sim.state.hours_ignored_for(6), None, "the next raise waits again");
}
