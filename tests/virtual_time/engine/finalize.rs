//! Retiring the old cluster: when that is allowed, what is written then, and a crash at each record of it.

use std::time::Duration;

use cutover::domain::decide::finalize::{ConditionStatus, blocked_by_run, judge, worst_status};
use cutover::domain::run::event::{Event, Record};
use cutover::domain::run::state::State;
use cutover::engine::{Ending, finalize, request};
use cutover::port::store::Request;

use super::face::Face;
use super::requests::make_a_rule;
use super::small;
use super::store::Death;
use super::theatre::{Life, Theatre, scenario, word};

const QUIET: Duration = Duration::from_mins(15);
const STEPS: &str =
    "[{bind: {}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}, {pause: {duration: 30m}}]";

/// A completed run over every route of the load balancer.
async fn completed() -> Theatre {
    let mut theatre = Theatre::begin(small::many_routes("", STEPS), &scenario("{}")).await;
    assert_eq!(word(&theatre.run().await), "completed");
    theatre
}

fn state(records: &[Record]) -> State {
    State::fold(records).expect("legal").expect("a state")
}

/// The items of `finalize` that are not met now.
async fn said(theatre: &Theatre) -> Vec<(&'static str, ConditionStatus)> {
    let records = theatre.records();
    let state = state(&records);
    if let Some(item) = blocked_by_run(&theatre.plan, &state) {
        return vec![(item.what, item.stands)];
    }
    let facts = finalize::read_facts(&theatre.plan, &state, &theatre.ports, &theatre.ports.balancer, QUIET).await;
    let items = judge(&theatre.plan, &state, &records, &facts, QUIET, theatre.ports.clock.now());
    assert!(worst_status(&items) == ConditionStatus::Yes || items.iter().any(|i| i.stands == worst_status(&items)));
    items.into_iter().filter(|i| i.stands != ConditionStatus::Yes).map(|i| (i.what, i.stands)).collect()
}

/// Replaces the binding of the old cluster by one that the tool made, as a run in the other direction would have done.
pub async fn own_binding(theatre: &Theatre) {
    let own = theatre.started().bindings.iter().find(|b| b.cluster == "a").expect("a binding of a");
    let a = theatre.ports.clusters["a"].clone();
    let found = a.bindings().await.expect("bindings").remove(0);
    a.delete(&found).await.expect("deleted");
    theatre.sleep(Duration::from_secs(20)).await;
    a.apply(&own.binding, false).await.expect("applied");
    theatre.sleep(Duration::from_mins(1)).await;
}

fn detach(bindings: bool) -> Request {
    Request::Detach { by: "alice@mac".into(), bindings }
}

/// Asserts that every route forwards as before to everything but the old group, which is in none.
fn assert_detached(theatre: &Theatre, before: &cutover::lab::model::Snapshot) {
    let world = theatre.world();
    for route in &theatre.started().routes {
        let (mut was, is) = (Face::of(&before.routes[route.id.id()]), Face::of(&world.routes[route.id.id()]));
        assert_eq!(was.weights.remove(&route.groups["a"]), Some(0), "{}", route.label);
        assert_eq!(was, is, "{}", route.label);
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_cluster_may_go_once_nothing_leads_to_it_and_nobody_asks_it() {
    let theatre = completed().await;
    assert_eq!(said(&theatre).await, []);
    make_a_rule(theatre.stage.model(), theatre.started());
    assert_eq!(said(&theatre).await, [("rules", ConditionStatus::No)]);
    // Someone sends everything back to the old cluster.
    let route = &theatre.started().routes[0];
    theatre.stage.balancer.traffic.set(&route.id, &route.content, Duration::from_secs(5)).await.expect("written");
    assert_eq!(said(&theatre).await, [("shares", ConditionStatus::Drift), ("rules", ConditionStatus::No)]);
    theatre.sleep(Duration::from_mins(10)).await;
    assert_eq!(
        said(&theatre).await,
        [("shares", ConditionStatus::Drift), ("requests", ConditionStatus::Wait), ("rules", ConditionStatus::No)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_is_named() {
    let mut short = Theatre::begin(small::two_routes(), &scenario("{}")).await;
    assert_eq!(said(&short).await, [("run", ConditionStatus::Wait)]);
    assert_eq!(word(&short.run().await), "completed");
    // Thirty seconds after the last shift there are connections still, and a quarter of an hour ago there was nothing
    // to be seen.
    assert_eq!(said(&short).await, [("time", ConditionStatus::Wait), ("requests", ConditionStatus::Unknown)]);

    let mut back = Theatre::begin(small::two_routes(), &scenario("{}")).await;
    back.ask(Request::Rollback { by: "bob".into(), force: false });
    assert_eq!(word(&back.run().await), "aborted");
    assert_eq!(said(&back).await, [("run", ConditionStatus::No)]);
}

#[tokio::test(start_paused = true)]
async fn its_groups_leave_every_action_then_its_bindings_go_and_nothing_leads_back() {
    let mut theatre = completed().await;
    let started = theatre.started().clone();
    let a = theatre.ports.clusters["a"].clone();
    own_binding(&theatre).await;
    let before = theatre.world();

    let Life::Ended(ending) = theatre.called(&detach(true)).await else { panic!("nothing kills it") };
    let Ending::Finished { remarks, left, .. } = &ending else { panic!("{ending:?}") };
    assert_eq!(
        (remarks.as_slice(), left.as_slice(), word(&ending)),
        (&[][..], &[][..], "completed"),
        "{}",
        theatre.lines()
    );
    assert_detached(&theatre, &before);
    assert_eq!(a.bindings().await.expect("bindings"), []);
    assert_eq!(theatre.world().healthy[&started.routes[0].groups["a"]], 0, "its controller has deregistered them");
    let records = theatre.records();
    let at = |fits: fn(&Event) -> bool| records.iter().rposition(|r| fits(&r.event)).expect("such a record");
    assert!(
        at(|e| matches!(e, Event::Outcome { .. })) < at(|e| matches!(e, Event::BindingRemoved { deleted: true, .. }))
    );

    let state = state(&records);
    for request in
        [Request::Rollback { by: "bob".into(), force: true }, Request::Abort { by: "bob".into(), to_step: None }]
    {
        let why = request::refusal(&theatre.plan, &state, &request).expect("refused");
        assert!(why.contains("finalize"), "{why}");
    }
    let writes = theatre.witness.writes.lock().expect("a lock").len();
    let Life::Ended(again) = theatre.called(&detach(true)).await else { panic!("nothing kills it") };
    assert_eq!(
        (word(&again), theatre.witness.writes.lock().expect("a lock").len()),
        ("completed", writes),
        "nothing is left to be done"
    );
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_somebody_else_has_made_stays() {
    let mut theatre = completed().await;
    let before = theatre.world();
    let Life::Ended(Ending::Finished { remarks, .. }) = theatre.called(&detach(true)).await else { panic!("it ends") };
    assert!(remarks.iter().any(|r| r.contains("cluster a was not deleted")), "{remarks:?}");
    assert_detached(&theatre, &before);
    assert_eq!(theatre.ports.clusters["a"].bindings().await.expect("bindings").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_record_it_goes_on_to_the_same_end() {
    for death in [Death::After, Death::Torn] {
        for offset in 1.. {
            let mut theatre = Theatre::begin(small::two_routes(), &scenario("{}")).await;
            assert_eq!(word(&theatre.run().await), "completed");
            let before = theatre.world();
            let last = theatre.records().last().expect("records").seq;
            theatre.ledger.dies_at(Some((last + offset, death)));
            let life = theatre.called(&detach(false)).await;
            theatre.ledger.dies_at(None);
            if life != Life::Killed {
                assert!(offset > 6, "it has {offset} records");
                break;
            }
            theatre.sleep(Duration::from_secs(20)).await;
            let begun = theatre.records().iter().any(|r| matches!(r.event, Event::RetireStarted { .. }));
            let ending = if begun {
                theatre.run().await
            } else {
                let Life::Ended(ending) = theatre.called(&detach(false)).await else { panic!("nothing kills it") };
                ending
            };
            assert_eq!(word(&ending), "completed", "{death:?} at {offset}: {}", theatre.lines());
            assert_detached(&theatre, &before);
            theatre.stage.stop().await;
        }
    }
}
