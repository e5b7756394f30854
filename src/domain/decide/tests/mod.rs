use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::fixture::{forward, group_arn, plan, route, shares, started};
use crate::domain::health::{Target, TargetState};
use crate::domain::run::event::{
    Event, FreezeReason, Record, ResumeMode, RouteStart, StepType, StopReason, Trigger, WaitReason, Write, WriteResult,
};
use crate::domain::run::observation::{Observation, Observed};
use crate::domain::run::state::State;
use crate::domain::traffic::{ClientStickiness, Reading, RouteContent, RouteId, Split, Unreadable};

mod blindness;
mod floors;
mod lateness;
mod other_actors;

const ORIGINAL: [(&str, u16); 2] = [("webapp-a", 100), ("webapp-b", 0)];
const HALF: [(&str, u16); 2] = [("webapp-a", 50), ("webapp-b", 50)];

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + second)
}

/// Returns a run of the fixture's plan with one route on listener 80, at second 0.
fn run(content: RouteContent) -> State {
    let live = route(80, None, content);
    let mut started = started(10);
    let first = started.routes.swap_remove(0);
    started.routes = vec![RouteStart {
        label: live.label(),
        id: live.id,
        conditions: live.conditions,
        content: live.content,
        ..first
    }];
    started.groups.values_mut().for_each(|group| group.healthy = 10);
    let record = Record::new(1, at(0), "alpha-1", Event::Started(Box::new(started)));
    State::fold(&[record]).unwrap().unwrap()
}

fn id() -> RouteId {
    route(80, None, forward(&[])).id
}

fn set(weights: &[(&str, u16)]) -> Split {
    forward(weights).split
}

impl State {
    fn after(mut self, second: i64, event: Event) -> Self {
        self.apply(at(second), &event).unwrap();
        self
    }

    /// Starts step 4 (50 %), whose write got no response and may take effect until `deadline`.
    fn with_open_write(self, second: i64, deadline: i64) -> Self {
        self.after(second, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
            .after(second, intended(false, deadline, &HALF))
            .after(second, outcome(WriteResult::Unknown, None))
    }

    fn rolling_back(self, second: i64, trigger: Trigger) -> Self {
        self.after(
            second,
            Event::RollbackStarted {
                cause: String::new(),
                by: String::new(),
                trigger,
                to_step: None,
                force: false,
                break_stickiness: false,
                request: None,
            },
        )
    }
}

fn intended(restore: bool, deadline: i64, to: &[(&str, u16)]) -> Event {
    Event::Intended { restore, deadline: at(deadline), writes: vec![Write { route: id(), expect: None, set: set(to) }] }
}

fn outcome(result: WriteResult, live: Option<&[(&str, u16)]>) -> Event {
    Event::Outcome { route: id(), result, live: live.map(set), detail: None }
}

fn watch(second: i64) -> Observed {
    Observed::new(at(second), std::time::Duration::from_secs(5), std::time::Duration::from_secs(90))
}

trait ObserveRoute {
    fn seen(self, second: i64, value: Result<RouteContent, Unreadable>, healthy: [u32; 2]) -> Self;
}

impl ObserveRoute for Observed {
    /// Adds an observation of the route, of the healthy targets of a and b, and of an empty list of all rules.
    fn seen(mut self, second: i64, value: Result<RouteContent, Unreadable>, healthy: [u32; 2]) -> Self {
        let target = |i: u32| Target {
            id: format!("10.0.0.{i}"),
            port: 80,
            zone: None,
            state: TargetState::Healthy,
            reason: None,
            explanation: None,
        };
        let health = ["webapp-a", "webapp-b"].into_iter().zip(healthy);
        let health =
            health.map(|(g, n)| (group_arn(g), Reading { at: at(second), value: Ok((0..n).map(target).collect()) }));
        let routes = [(id(), Reading { at: at(second), value })].into();
        let census = Some(Reading { at: at(second), value: Ok(Vec::new()) });
        let observation = Observation { routes, health: health.collect(), census, ..Observation::default() };
        self.add(at(second), observation, true);
        self
    }
}

fn next(state: &State, watch: &Observed, second: i64) -> Decision {
    decide(&Context { plan: &plan(), state, observed: watch, now: at(second) }, ProcessOptions::default())
}

fn throttled() -> Result<RouteContent, Unreadable> {
    Err(Unreadable::Throttled)
}

fn is_finished(decision: &Decision) -> bool {
    matches!(decision, Decision::Record(events) if events.iter().any(|e| matches!(e, Event::Finished { .. })))
}

/// Returns the routes that the end of a run lists as not restored.
fn unresolved_text(decision: &Decision) -> String {
    let Decision::Record(events) = decision else { panic!("{decision:?}") };
    let [Event::Finished { unresolved, .. }] = events.as_slice() else { panic!("{events:?}") };
    unresolved.join("; ")
}

#[test]
fn failed_read_before_a_rollback_write_does_not_close_an_older_write() {
    let state = run(forward(&ORIGINAL))
        .with_open_write(1, 30)
        .rolling_back(2, Trigger::Gate)
        .after(3, outcome(WriteResult::Unreadable, None));
    let seen = watch(0).seen(4, Ok(forward(&ORIGINAL)), [10, 10]);
    assert!(
        matches!(next(&state, &seen, 4), Decision::Wait(_)),
        "the write may still take effect until second 30, so the run must wait"
    );
    let late = seen.seen(31, Ok(forward(&HALF)), [10, 10]);
    let Decision::Record(events) = next(&state, &late, 31) else {
        panic!("the write took effect, which must be recorded")
    };
    assert!(matches!(events[..], [Event::Outcome { result: WriteResult::Applied, .. }]), "{events:?}");
}

#[test]
fn read_back_journaled_late_does_not_close_an_older_write() {
    let state = run(forward(&ORIGINAL))
        .with_open_write(1, 30)
        .rolling_back(2, Trigger::Gate)
        .after(25, intended(true, 35, &ORIGINAL));
    // The route was read at second 27. The outcome is journalled at second 36, with the other outcomes of its chunk.
    let state = state.after(36, outcome(WriteResult::Applied, Some(&ORIGINAL)));
    assert!(!is_finished(&next(&state, &watch(0), 36)));
    let seen = watch(0).seen(37, Ok(forward(&ORIGINAL)), [10, 10]);
    assert!(!is_finished(&next(&state, &seen, 37)), "a late reading does not show that the write had no effect");
    let seen = seen.seen(46, Ok(forward(&ORIGINAL)), [10, 10]);
    let Decision::Record(events) = next(&state, &seen, 46) else {
        panic!("a reading long after the deadline must close the write")
    };
    let state = state.after(46, events[0].clone());
    let seen = seen.seen(47, Ok(forward(&ORIGINAL)), [10, 10]);
    assert!(is_finished(&next(&state, &seen, 47)));
}

#[test]
fn step_settles_after_the_settle_time_of_its_routes() {
    let written = |settle: Option<u64>| {
        let mut state = run(forward(&ORIGINAL))
            .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
            .after(2, intended(false, 12, &HALF))
            .after(3, outcome(WriteResult::Applied, Some(&HALF)));
        state.routes.values_mut().for_each(|route| route.start.settle = settle);
        state
    };
    let until = |state: &State, second: i64| match next(state, &watch(second), second) {
        Decision::Wait(waits) => waits.iter().find(|w| w.reason == WaitReason::Settle).and_then(|w| w.until),
        _ => None,
    };
    assert_eq!(until(&written(None), 4), Some(at(18)), "the plan's settle is 15s");
    assert_eq!(until(&written(Some(600)), 20), Some(at(603)));
    assert_eq!(until(&written(Some(600)), 603), None);
    let rollback = written(Some(600)).rolling_back(5, Trigger::Gate);
    assert_eq!(until(&rollback, 6), None, "a rollback waits for no settle");
}

#[test]
fn rollback_does_not_end_on_readings_of_another_process() {
    let state = run(forward(&ORIGINAL))
        .rolling_back(2, Trigger::Operator)
        .after(3, Event::ProcessStarted { owner: String::new(), pid: 1, tool: String::new(), continuous: false });
    let unreadable = watch(3).seen(4, throttled(), [10, 10]);
    assert!(
        !is_finished(&next(&state, &unreadable, 4)),
        "the rollback ended without a read-back: {:?}",
        next(&state, &unreadable, 4)
    );
    assert!(is_finished(&next(&state, &unreadable.seen(9, Ok(forward(&ORIGINAL)), [10, 10]), 9)));
}

#[test]
fn rollback_does_not_end_after_a_rejected_write_over_drift() {
    let foreign =
        Event::Drifted { route: id(), expected: Box::new(forward(&ORIGINAL)), live: Some(Box::new(forward(&HALF))) };
    let state = run(forward(&ORIGINAL)).after(1, foreign).rolling_back(2, Trigger::Operator);
    let state = state.after(4, intended(true, 14, &ORIGINAL)).after(5, outcome(WriteResult::Failed, None));
    assert!(!is_finished(&next(&state, &watch(0).seen(3, Ok(forward(&HALF)), [10, 10]), 5)));
}

#[test]
fn unmoved_route_with_rejected_raise_counts_as_restored() {
    let state = run(forward(&ORIGINAL)).rolling_back(2, Trigger::Gate);
    let mut seen = watch(0).seen(3, Ok(forward(&ORIGINAL)), [10, 10]);
    seen.rejected_writes.insert(id(), "AccessDenied".into());
    assert!(is_finished(&next(&state, &seen, 3)), "{:?}", next(&state, &seen, 3));
}

#[test]
fn operator_rollback_lists_a_rule_that_no_longer_forwards_and_ends() {
    let gone = Event::Drifted {
        route: id(),
        expected: Box::new(forward(&ORIGINAL)),
        live: Some(Box::new(crate::domain::fixture::redirect())),
    };
    let state = run(forward(&ORIGINAL)).after(1, gone).rolling_back(2, Trigger::Operator);
    let seen = watch(0).seen(3, Ok(crate::domain::fixture::redirect()), [10, 10]);
    assert!(unresolved_text(&next(&state, &seen, 3)).contains("no longer forwards to target groups"));
}

#[test]
fn rollback_ends_without_a_deleted_rule_and_lists_it() {
    for trigger in [Trigger::Operator, Trigger::Gate] {
        let gone = Event::Drifted { route: id(), expected: Box::new(forward(&ORIGINAL)), live: None };
        let state = run(forward(&ORIGINAL)).after(1, gone).rolling_back(2, trigger);
        let without_reading = watch(2).seen(3, throttled(), [10, 10]);
        assert!(
            matches!(next(&state, &without_reading, 3), Decision::Wait(_)),
            "the rollback must wait for a reading that confirms the deletion: {:?}",
            next(&state, &without_reading, 3)
        );
        let seen = without_reading.seen(4, Err(Unreadable::NotFound("RuleNotFound".into())), [10, 10]);
        assert_eq!(
            unresolved_text(&next(&state, &seen, 4)),
            "80 default: the listener was deleted; to have it back, create the listener again with a forward action \
             to webapp-a"
        );
    }
}

#[test]
fn write_overwritten_by_another_actor_is_closed_after_its_deadline() {
    let foreign = [("webapp-a", 70), ("webapp-b", 30)];
    let drifted =
        Event::Drifted { route: id(), expected: Box::new(forward(&ORIGINAL)), live: Some(Box::new(forward(&foreign))) };
    let state = run(forward(&ORIGINAL))
        .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
        .after(1, intended(false, 11, &HALF))
        .after(2, drifted)
        .after(3, Event::Frozen { reason: FreezeReason::Drift, message: String::new() })
        .after(4, Event::Resumed { by: String::new(), mode: ResumeMode::REASSERT, ignore_hours: None, request: None });
    let seen = watch(0).seen(12, Ok(forward(&foreign)), [10, 10]);
    let Decision::Record(events) = next(&state, &seen, 12) else { panic!("{:?}", next(&state, &seen, 12)) };
    let state = state.after(12, events[0].clone());
    assert!(
        state.routes[&id()].open_writes.is_none(),
        "the write must be closed, so that `resume --reassert` can write"
    );
}

#[test]
fn reasserted_shares_require_the_raise_gate() {
    let drifted =
        Event::Drifted { route: id(), expected: Box::new(forward(&HALF)), live: Some(Box::new(forward(&ORIGINAL))) };
    let state = run(forward(&HALF))
        .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
        .after(2, drifted)
        .after(3, Event::Frozen { reason: FreezeReason::Drift, message: String::new() })
        .after(4, Event::Resumed { by: String::new(), mode: ResumeMode::REASSERT, ignore_hours: None, request: None });
    let observations = |b: u32| (1..=8).fold(watch(0), |w, i| w.seen(i * 5, Ok(forward(&ORIGINAL)), [10, b]));
    assert!(
        matches!(next(&state, &observations(4), 40), Decision::Wait(_)),
        "{:?}",
        next(&state, &observations(4), 40)
    );
    assert!(
        matches!(next(&state, &observations(10), 40), Decision::Write(_)),
        "{:?}",
        next(&state, &observations(10), 40)
    );
}

#[test]
fn step_fails_only_after_a_time_out_without_any_write() {
    let mut state = run(forward(&ORIGINAL))
        .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
        .after(1, intended(false, 11, &HALF))
        .after(2, outcome(WriteResult::Failed, None));
    let seen = (0..8).fold(watch(1300), |w, i| w.seen(1300 + i * 5, Ok(forward(&ORIGINAL)), [10, 10]));
    let Decision::Record(events) = next(&state, &seen, 1335) else { panic!("the failed step must start a rollback") };
    assert!(
        events.iter().any(
            |e| matches!(e, Event::RollbackStarted { cause, .. } if cause.contains("could not be written within 20m"))
        ),
        "{events:?}"
    );
    // Another route of the step was written a minute ago.
    state.routes.values_mut().for_each(|route| route.applied_at = Some(at(1280)));
    assert!(matches!(next(&state, &seen, 1335), Decision::Write(_)), "{:?}", next(&state, &seen, 1335));
}

#[test]
fn time_without_a_process_does_not_fail_a_step() {
    let state = run(forward(&ORIGINAL))
        .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
        .after(1, intended(false, 11, &HALF))
        .after(2, outcome(WriteResult::Failed, None))
        .after(9000, Event::ProcessStarted { owner: String::new(), pid: 1, tool: String::new(), continuous: false });
    let seen = (0..8).fold(watch(9000), |w, i| w.seen(9000 + i * 5, Ok(forward(&ORIGINAL)), [10, 10]));
    assert!(matches!(next(&state, &seen, 9035), Decision::Write(_)), "{:?}", next(&state, &seen, 9035));
}

#[test]
fn rollback_of_a_run_started_at_a_later_step_breaks_stickiness() {
    let mut content = forward(&HALF);
    content.stickiness = Some(ClientStickiness { enabled: true, seconds: Some(600) });
    let mut state = run(content);
    state.started.from_step = 5;
    state.started.start = Some(shares(100, 0));
    state.step = 5;
    let state = state.rolling_back(2, Trigger::Gate);
    let route = &state.routes[&id()];
    let back =
        desired_split::after_rollback(&plan(), &state, route, state.rollback.as_ref().unwrap(), route.split()).unwrap();
    assert_eq!(
        back.weight(&group_arn("webapp-b")),
        None,
        "the group must be detached, so that its cookies lose their effect"
    );
}

/// The option `--baseline` names cluster `c` of the plan, which no step uses and whose group is not attached.
#[test]
fn rollback_attaches_a_baseline_group_that_no_step_uses() {
    let mut state = run(forward(&HALF));
    let route = state.routes.get_mut(&id()).unwrap();
    route.start.groups.insert("c".into(), group_arn("webapp-c"));
    state.started.start = Some([("a".into(), 0), ("b".into(), 0), ("c".into(), 100)].into());
    let state = state.rolling_back(2, Trigger::Operator);
    let route = &state.routes[&id()];
    let back =
        desired_split::after_rollback(&plan(), &state, route, state.rollback.as_ref().unwrap(), route.split()).unwrap();
    assert!(back.weight(&group_arn("webapp-c")).is_some_and(|w| w > 0), "{back:?}");
    assert_eq!(
        (back.weight(&group_arn("webapp-a")), back.weight(&group_arn("webapp-b"))),
        (Some(0), Some(0)),
        "{back:?}"
    );
}

#[test]
fn rollback_exits_with_a_message_about_an_unknown_element() {
    let state = run(forward(&ORIGINAL))
        .with_open_write(1, 11)
        .after(12, outcome(WriteResult::Applied, Some(&HALF)))
        .rolling_back(13, Trigger::Gate);
    let unknown = "80 default: this build does not know QuantumConfig";
    let seen = watch(0).seen(14, Err(Unreadable::Unrepresentable(unknown.into())), [10, 10]);
    assert!(
        matches!(next(&state, &seen, 14), Decision::Exit(StopReason::Stuck, why) if why.contains(unknown)),
        "{:?}",
        next(&state, &seen, 14)
    );
}

#[test]
fn rollback_keeps_a_third_party_group() {
    let state = run(forward(&ORIGINAL)).rolling_back(2, Trigger::Operator);
    let (route, rollback) = (&state.routes[&id()], state.rollback.as_ref().unwrap());
    let live = set(&[("webapp-a", 50), ("webapp-b", 50), ("webapp-c", 100)]);
    let back = desired_split::after_rollback(&plan(), &state, route, rollback, &live).unwrap();
    let weight = |name: &str| u32::from(back.weight(&group_arn(name)).unwrap());
    assert_eq!(
        weight("webapp-a"),
        weight("webapp-c"),
        "the third-party group must keep half of the total weight: {back:?}"
    );
    assert_eq!(weight("webapp-b"), 0);
    let managed_only = set(&[("webapp-a", 5), ("webapp-b", 95)]);
    assert!(
        desired_split::after_rollback(&plan(), &state, route, rollback, &managed_only)
            .unwrap()
            .equivalent(&set(&ORIGINAL)),
        "without a third-party group the original split must be restored"
    );
}
