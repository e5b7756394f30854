//! Runs at HAProxy, over the lab's instances: reloads, instances that are down or slow, writes of other people.

use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::domain::decide::finalize::{ConditionStatus, judge};
use cutover::domain::run::event::{Event, Record, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::domain::traffic::RouteId;
use cutover::engine::finalize;
use cutover::plan::model::Plan;
use cutover::port::store::Request;
use jiff::Timestamp;

use super::test_run::{ProcessEnd, TestRun, ending_name, example, exit, plan, plan_of, scenario};

const FIRST: &str = "haproxy:tcp://10.0.1.10:9999/webapp";
const SECOND: &str = "haproxy:tcp://10.0.1.20:9999/webapp";

/// The second instance dies in step 4.
pub const DEAD: &str = "{at: {step: '4', after: 2m}, haproxy: {instance: 'tcp://10.0.1.20:9999', does: down}}";

/// Returns the request of `resume --without` for the second instance.
pub fn leave_out() -> Request {
    Request::LeaveOut { by: "bob@lab".into(), routes: vec![RouteId::default_route(SECOND)] }
}

/// Returns an operator who sends a request once, when this holds.
pub fn once(
    request: Request,
    when: impl Fn(&State) -> bool + Send,
) -> impl FnMut(&State, &Observed, &[Wait], Timestamp) -> Vec<Request> + Send {
    let mut request = Some(request);
    move |state, _, _, _| if when(state) { request.take().into_iter().collect() } else { Vec::new() }
}

/// Returns `plans/haproxy.yaml`, which writes the shares again by itself after a reload.
fn reasserting() -> Plan {
    let text = plan("plans/haproxy.yaml").text;
    plan_of(
        &text.replace("            backend: webapp\n", "            backend: webapp\n            reload: reassert\n"),
    )
}

/// Returns the position of the first record whose event is as wanted.
fn position(records: &[Record], wanted: impl Fn(&Event) -> bool) -> usize {
    records.iter().position(|r| wanted(&r.event)).expect("the journal should have the event")
}

#[tokio::test(start_paused = true)]
async fn weights_and_slots_move_to_100_percent() {
    for path in ["plans/haproxy.yaml", "plans/mixed.yaml"] {
        let mut test_run = TestRun::begin(plan(path), &example("healthy")).await;
        let end = test_run.run().await;
        assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
        test_run.assert_shares(100, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn failing_servers_bring_everything_back() {
    for path in ["plans/haproxy.yaml", "plans/mixed.yaml"] {
        let mut test_run = TestRun::begin(plan(path), &example("green-dies-at-50")).await;
        let end = test_run.run().await;
        assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
        test_run.assert_original(&[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_freezes_the_run_under_its_name() {
    let reload = scenario("{faults: [{at: {step: '4', after: 2m}, haproxy: {does: reload}}]}");
    let mut test_run = TestRun::begin(plan("plans/haproxy.yaml"), &reload).await;
    let end = test_run.run().await;
    assert_eq!(ending_name(&end), "drift", "{}", test_run.output());
    assert!(test_run.output().contains("was reloaded"), "{}", test_run.output());
    assert!(test_run.drifted_routes().iter().any(|route| route.ends_with(FIRST)), "{:?}", test_run.drifted_routes());
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_mended_by_itself_if_the_plan_says_so() {
    // The table of the first instance has no `reload: reassert`, so only the second instance reloads.
    let fault = "haproxy: {instance: 'tcp://10.0.1.20:9999', does: reload}";
    let reload = scenario(&format!("{{faults: [{{at: {{step: '4', after: 2m}}, {fault}}}]}}"));
    let mut test_run = TestRun::begin(reasserting(), &reload).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let records = test_run.records();
    let drift = position(&records, |e| matches!(e, Event::Drifted { .. }));
    let next = records[drift..].iter().find_map(|r| match &r.event {
        Event::Intended { writes, restore, .. } => Some((writes.clone(), *restore)),
        Event::StepStarted { step, .. } => panic!("step {step} began before the shares were written again"),
        _ => None,
    });
    let (writes, restore) = next.expect("the shares should be written again");
    assert!(!restore && writes.len() == 1, "{writes:?}");
    assert!(!records.iter().any(|r| matches!(r.event, Event::Frozen { .. })), "{}", test_run.output());
}

/// Behind the raise gate: without enough healthy servers, nothing is written again.
#[tokio::test(start_paused = true)]
async fn a_reload_is_not_mended_while_the_new_servers_are_unhealthy() {
    let fault = "haproxy: {instance: 'tcp://10.0.1.20:9999', does: reload}";
    let dead = "{at: {step: '4', after: 1m}, kill: {cluster: to, percent: 75}}";
    let reload = scenario(&format!("{{faults: [{dead}, {{at: {{step: '4', after: 70s}}, {fault}}}]}}"));
    let text = reasserting().text.replace("    steps:\n", "    onFailure: pause\n    steps:\n");
    let mut test_run = TestRun::begin(plan_of(&text), &reload).await;
    let _ = test_run.run().await;
    let records = test_run.records();
    let drift = position(&records, |e| matches!(e, Event::Drifted { .. }));
    let written = records[drift..].iter().any(|r| matches!(&r.event, Event::Intended { restore: false, .. }));
    assert!(!written, "{}", test_run.output());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_down_stops_raises_until_it_is_back() {
    let down = "{at: {step: '4', after: 2m}, haproxy: {instance: 'tcp://10.0.1.20:9999', does: down, for: 30s}}";
    let mut test_run = TestRun::begin(reasserting(), &scenario(&format!("{{faults: [{down}]}}"))).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_instance_delays_the_run_and_changes_nothing() {
    let slow = "{at: {step: '4', after: 2m}, haproxy: {does: slow, by: 20s, for: 50s}}";
    let mut test_run = TestRun::begin(plan("plans/haproxy.yaml"), &scenario(&format!("{{faults: [{slow}]}}"))).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
}

#[tokio::test(start_paused = true)]
async fn weights_of_other_people_are_drift() {
    let foreign = "{at: {step: '4', after: 2m}, foreign-write: {weights: {to: 7}}}";
    let mut test_run = TestRun::begin(reasserting(), &scenario(&format!("{{faults: [{foreign}]}}"))).await;
    let end = test_run.run().await;
    assert_eq!(ending_name(&end), "drift", "{}", test_run.output());
    assert!(!test_run.output().contains("reloaded"), "{}", test_run.output());
}

/// The steps go on without an instance that an operator accepts as lost. A rollback tries it, and names it.
#[tokio::test(start_paused = true)]
async fn steps_go_on_without_a_lost_instance() {
    let mut test_run =
        TestRun::begin_with(plan("plans/haproxy.yaml"), &scenario(&format!("{{faults: [{DEAD}]}}")), |s| {
            s.exit_when_frozen = false;
        })
        .await;
    let end = test_run.run_with(&mut once(leave_out(), |state| state.frozen.is_some())).await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[SECOND]);
    let output = test_run.output();
    assert!(output.contains("left out by bob@lab: webapp on 10.0.1.20:9999"), "{output}");
    assert!(output.contains("accepted with `resume --without`"), "{output}");

    let back = Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None };
    let ProcessEnd::Ended(end) = test_run.run_process_with_request(&back).await else { panic!("it must end") };
    assert_eq!((ending_name(&end), exit(&end)), ("stuck", Exit::Stuck), "{}", test_run.output());
    test_run.assert_original(&[SECOND]);
    assert!(test_run.output().contains("NOT restored: webapp on 10.0.1.20:9999"), "{}", test_run.output());
}

/// `finalize` reads the instance that was left out, and its last record names it.
#[tokio::test(start_paused = true)]
async fn finalize_does_not_claim_an_instance_that_was_left_out() {
    let mut test_run =
        TestRun::begin_with(plan("plans/haproxy.yaml"), &scenario(&format!("{{faults: [{DEAD}]}}")), |s| {
            s.exit_when_frozen = false;
        })
        .await;
    let end = test_run.run_with(&mut once(leave_out(), |state| state.frozen.is_some())).await;
    assert_eq!(ending_name(&end), "completed", "{}", test_run.output());
    let records = test_run.records();
    let state = State::fold(&records).expect("the records should be valid").expect("the run should have a state");
    let quiet = Duration::from_mins(15);
    let facts = finalize::read_facts(&test_run.plan, &state, &test_run.ports, quiet).await;
    let items = judge(&test_run.plan, &state, &records, &facts, quiet, test_run.ports.clock.now());
    let item = items.iter().find(|item| item.what == "leftOut").expect("the instance should be a condition");
    assert_eq!(item.stands, ConditionStatus::Unknown, "{item:?}");
    assert!(item.message.starts_with("webapp on 10.0.1.20:9999 was left out with `resume --without`"), "{item:?}");

    let detach = Request::Detach { by: "bob@lab".into(), bindings: false };
    let ProcessEnd::Ended(end) = test_run.run_process_with_request(&detach).await else { panic!("it must end") };
    assert_eq!(ending_name(&end), "completed", "{}", test_run.output());
    let last = test_run.records().into_iter().rev().find_map(|record| match record.event {
        Event::Finished { accepted, .. } => Some(accepted),
        _ => None,
    });
    let last = last.expect("the run should have ended");
    assert!(last.len() == 1 && last[0].starts_with("webapp on 10.0.1.20:9999: not moved"), "{last:?}");
}

/// The operator named the wrong instance.
#[tokio::test(start_paused = true)]
async fn instance_that_answers_is_not_left_out() {
    let mut test_run = TestRun::begin(plan("plans/haproxy.yaml"), &example("healthy")).await;
    let end = test_run.run_with(&mut once(leave_out(), |state| state.step == 4)).await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    assert!(
        test_run.output().contains("webapp on 10.0.1.20:9999 answers: it was not left out"),
        "{}",
        test_run.output()
    );
}

/// A rollback restores the other instance at once, waits half a minute for the dead one, and ends with exit code 5.
#[tokio::test(start_paused = true)]
async fn rollback_ends_without_a_dead_instance_and_names_it() {
    let mut test_run =
        TestRun::begin_with(plan("plans/haproxy.yaml"), &scenario(&format!("{{faults: [{DEAD}]}}")), |s| {
            s.exit_when_frozen = false;
        })
        .await;
    let abort = Request::Abort { by: "bob@lab".into(), to_step: None };
    let end = test_run.run_with(&mut once(abort, |state| state.frozen.is_some())).await;
    assert_eq!((ending_name(&end), exit(&end)), ("stuck", Exit::Stuck), "{}", test_run.output());
    test_run.assert_original(&[SECOND]);
    assert!(test_run.output().contains("NOT restored: webapp on 10.0.1.20:9999"), "{}", test_run.output());
}
