//! `finalize`: when the old groups may be detached, which writes this makes, and a crash at each of its records.

use std::time::Duration;

use cutover::domain::decide::finalize::{ConditionStatus, blocked_by_run, judge, worst_status};
use cutover::domain::run::event::{Event, Record};
use cutover::domain::run::state::State;
use cutover::engine::{Ending, finalize, request};
use cutover::port::store::Request;

use super::requests::make_a_rule;
use super::route_actions::RouteActions;
use super::small;
use super::store::Death;
use super::test_run::{ProcessEnd, TestRun, ending_name, scenario};

const QUIET_PERIOD: Duration = Duration::from_mins(15);
const STEPS: &str =
    "[{bind: {}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}, {pause: {duration: 30m}}]";

/// Returns a completed run over every route of the load balancer.
async fn completed_run() -> TestRun {
    let mut test_run = TestRun::begin(small::many_routes("", STEPS), &scenario("{}")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed");
    test_run
}

fn state(records: &[Record]) -> State {
    State::fold(records).expect("the records should be valid").expect("the run should have a state")
}

/// Returns the conditions of `finalize` that are not met now.
async fn unmet_conditions(test_run: &TestRun) -> Vec<(&'static str, ConditionStatus)> {
    let records = test_run.records();
    let state = state(&records);
    if let Some(item) = blocked_by_run(&test_run.plan, &state) {
        return vec![(item.what, item.stands)];
    }
    let facts = finalize::read_facts(&test_run.plan, &state, &test_run.ports, QUIET_PERIOD).await;
    let items = judge(&test_run.plan, &state, &records, &facts, QUIET_PERIOD, test_run.ports.clock.now());
    assert!(worst_status(&items) == ConditionStatus::Yes || items.iter().any(|i| i.stands == worst_status(&items)));
    items.into_iter().filter(|i| i.stands != ConditionStatus::Yes).map(|i| (i.what, i.stands)).collect()
}

/// Replaces the binding in the old cluster with a binding that the tool created, as after a run in the other direction.
pub async fn replace_with_own_binding(test_run: &TestRun) {
    let own = test_run
        .started()
        .bindings
        .iter()
        .find(|b| b.cluster == "a")
        .expect("the run should have a binding in cluster a");
    let a = test_run.ports.clusters["a"].clone();
    let found = a.bindings().await.expect("the bindings should be readable").remove(0);
    a.delete(&found).await.expect("the binding should be deleted");
    test_run.sleep(Duration::from_secs(20)).await;
    a.apply(&own.binding, false).await.expect("the binding should be applied");
    test_run.sleep(Duration::from_mins(1)).await;
}

fn detach(bindings: bool) -> Request {
    Request::Detach { by: "alice@mac".into(), bindings }
}

/// Asserts that every route forwards as before, without the old group.
fn assert_detached(test_run: &TestRun, before: &cutover::lab::model::Snapshot) {
    let world = test_run.snapshot();
    for route in &test_run.started().routes {
        let (mut was, is) =
            (RouteActions::of(&before.routes[route.id.id()]), RouteActions::of(&world.routes[route.id.id()]));
        assert_eq!(was.weights.remove(&route.groups["a"]), Some(0), "{}", route.label);
        assert_eq!(was, is, "{}", route.label);
    }
}

#[tokio::test(start_paused = true)]
async fn finalize_needs_an_old_cluster_without_shares_rules_and_requests() {
    let test_run = completed_run().await;
    assert_eq!(unmet_conditions(&test_run).await, []);
    make_a_rule(test_run.lab.model(), test_run.started());
    assert_eq!(unmet_conditions(&test_run).await, [("rules", ConditionStatus::No)]);
    // Someone sends all traffic of a route back to the old cluster.
    let route = &test_run.started().routes[0];
    test_run
        .lab
        .balancer
        .traffic
        .set(&route.id, &route.content, Duration::from_secs(5))
        .await
        .expect("the route should be written");
    assert_eq!(unmet_conditions(&test_run).await, [("shares", ConditionStatus::Drift), ("rules", ConditionStatus::No)]);
    test_run.sleep(Duration::from_mins(10)).await;
    assert_eq!(
        unmet_conditions(&test_run).await,
        [("shares", ConditionStatus::Drift), ("requests", ConditionStatus::Wait), ("rules", ConditionStatus::No)]
    );
}

#[tokio::test(start_paused = true)]
async fn finalize_names_each_unmet_condition() {
    let mut short = TestRun::begin(small::two_routes(), &scenario("{}")).await;
    assert_eq!(unmet_conditions(&short).await, [("run", ConditionStatus::Wait)]);
    assert_eq!(ending_name(&short.run().await), "completed");
    // Thirty seconds after the last shift there are still connections, and the lab has no metrics from a quarter of an
    // hour ago.
    assert_eq!(
        unmet_conditions(&short).await,
        [("time", ConditionStatus::Wait), ("requests", ConditionStatus::Unknown)]
    );

    let mut back = TestRun::begin(small::two_routes(), &scenario("{}")).await;
    back.send_request(Request::Rollback { by: "bob".into(), force: false, break_stickiness: None });
    assert_eq!(ending_name(&back.run().await), "aborted");
    assert_eq!(unmet_conditions(&back).await, [("run", ConditionStatus::No)]);
}

#[tokio::test(start_paused = true)]
async fn finalize_detaches_groups_then_deletes_bindings_and_prevents_rollback() {
    let mut test_run = completed_run().await;
    let started = test_run.started().clone();
    let a = test_run.ports.clusters["a"].clone();
    replace_with_own_binding(&test_run).await;
    let before = test_run.snapshot();

    let ProcessEnd::Ended(ending) = test_run.run_process_with_request(&detach(true)).await else {
        panic!("the process must not be killed")
    };
    let Ending::Finished { remarks, left, .. } = &ending else { panic!("{ending:?}") };
    assert_eq!(
        (remarks.as_slice(), left.as_slice(), ending_name(&ending)),
        (&[][..], &[][..], "completed"),
        "{}",
        test_run.output()
    );
    assert_detached(&test_run, &before);
    assert_eq!(a.bindings().await.expect("the bindings should be readable"), []);
    assert_eq!(
        test_run.snapshot().healthy[&started.routes[0].groups["a"]],
        0,
        "the controller must have deregistered all targets"
    );
    let records = test_run.records();
    let at = |fits: fn(&Event) -> bool| {
        records.iter().rposition(|r| fits(&r.event)).expect("the journal should have such a record")
    };
    assert!(
        at(|e| matches!(e, Event::Outcome { .. })) < at(|e| matches!(e, Event::BindingRemoved { deleted: true, .. }))
    );

    let state = state(&records);
    for request in [
        Request::Rollback { by: "bob".into(), force: true, break_stickiness: None },
        Request::Abort { by: "bob".into(), to_step: None },
    ] {
        let why =
            request::refusal(&test_run.plan, &state, &request).expect("a rollback after finalize should be refused");
        assert!(why.contains("finalize"), "{why}");
    }
    let writes = test_run.write_checker.writes.lock().expect("no thread should have panicked").len();
    let ProcessEnd::Ended(again) = test_run.run_process_with_request(&detach(true)).await else {
        panic!("the process must not be killed")
    };
    assert_eq!(
        (ending_name(&again), test_run.write_checker.writes.lock().expect("no thread should have panicked").len()),
        ("completed", writes),
        "a second finalize must write nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn finalize_keeps_a_binding_that_someone_else_created() {
    let mut test_run = completed_run().await;
    let before = test_run.snapshot();
    let ProcessEnd::Ended(Ending::Finished { remarks, .. }) = test_run.run_process_with_request(&detach(true)).await
    else {
        panic!("the process should end")
    };
    assert!(remarks.iter().any(|r| r.contains("cluster a was not deleted")), "{remarks:?}");
    assert_detached(&test_run, &before);
    assert_eq!(test_run.ports.clusters["a"].bindings().await.expect("the bindings should be readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn finalize_completes_after_a_crash_at_any_record() {
    for death in [Death::After, Death::Torn] {
        for offset in 1.. {
            let mut test_run = TestRun::begin(small::two_routes(), &scenario("{}")).await;
            assert_eq!(ending_name(&test_run.run().await), "completed");
            let before = test_run.snapshot();
            let last = test_run.records().last().expect("the journal should have records").seq;
            test_run.test_store.dies_at(Some((last + offset, death)));
            let life = test_run.run_process_with_request(&detach(false)).await;
            test_run.test_store.dies_at(None);
            if life != ProcessEnd::Killed {
                assert!(offset > 6, "the run should have more than 6 records after `detach`, but it has {offset}");
                break;
            }
            test_run.sleep(Duration::from_secs(20)).await;
            let begun = test_run.records().iter().any(|r| matches!(r.event, Event::RetireStarted { .. }));
            let ending = if begun {
                test_run.run().await
            } else {
                let ProcessEnd::Ended(ending) = test_run.run_process_with_request(&detach(false)).await else {
                    panic!("the process must not be killed")
                };
                ending
            };
            assert_eq!(ending_name(&ending), "completed", "{death:?} at {offset}: {}", test_run.output());
            assert_detached(&test_run, &before);
            test_run.lab.stop().await;
        }
    }
}
