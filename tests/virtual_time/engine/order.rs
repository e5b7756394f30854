//! The order of effects: attach, bind, raise; the marker before the writes; and the delay of a rollback's first write.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::traffic::shares;
use cutover::lab::model::Caller;
use jiff::{SignedDuration, Timestamp};

use super::small;
use super::test_run::{TestRun, ending_name, example, plan, scenario};

/// Returns the time of the first matching record.
fn time_of_first(records: &[Record], fits: impl Fn(&Event) -> bool) -> Timestamp {
    records.iter().find(|r| fits(&r.event)).unwrap_or_else(|| panic!("the journal has no such record")).time
}

/// Scenario: the new groups are not attached to any action.
const UNATTACHED_SPEC: &str = "{targetGroups: [{cluster: to, attached: false}]}";

#[tokio::test(start_paused = true)]
async fn a_run_sets_the_marker_attaches_binds_and_raises_in_this_order() {
    let mut test_run = TestRun::begin(small::two_routes(), &scenario(UNATTACHED_SPEC)).await;
    assert_eq!(ending_name(&test_run.run().await), "completed");
    let started = test_run.started().clone();
    let green = &started.routes[0].groups["b"];
    let share = |set: &cutover::domain::traffic::Split| {
        let managed: Vec<_> = started.routes[0].groups.iter().map(|(c, g)| (c.clone(), g.clone())).collect();
        shares::live_shares(set, &managed).expect("the split should have shares")["b"]
    };
    let mut steps = Vec::new();
    for record in test_run.records() {
        match &record.event {
            Event::Intended { writes, restore, .. } => {
                assert!(!restore);
                let all: Vec<_> = writes.iter().map(|w| share(&w.set)).collect();
                assert!(
                    all.windows(2).all(|w| w[0].total_cmp(&w[1]).is_eq()),
                    "all writes of a batch must have the same shares: {all:?}"
                );
                let raises = writes.iter().any(|w| w.expect.as_ref().is_some_and(|e| share(&w.set) > share(e)));
                steps.push(if raises { "raise" } else { "attach" });
            }
            Event::Outcome { live: Some(live), .. } if !steps.contains(&"bind") => {
                assert_eq!(live.weight(green), Some(0));
            }
            Event::BindingDone { .. } => steps.push("bind"),
            _ => {}
        }
    }
    steps.dedup();
    assert_eq!(steps, ["attach", "bind", "raise"]);
    test_run.lab.model().call(|world, _| {
        let calls: Vec<_> = world
            .calls()
            .iter()
            .filter(|c| c.mutating && c.caller == Caller::Client && !c.operation.contains("dryRun"))
            .collect();
        let at = |name: &str| {
            calls
                .iter()
                .position(|c| c.operation.contains(name))
                .unwrap_or_else(|| panic!("no call contains {name}: {calls:?}"))
        };
        assert!(at("AddTags") < at("Modify") && at("Modify") < at("targetgroupbindings"), "{calls:?}");
        let last = calls.last().expect("the run should make calls");
        assert_eq!(last.operation, "RemoveTags", "the last call must remove the marker");
    });
}

/// Tests the whole chain of the reference case: dead pods, two failed health checks of the load balancer, then one
/// observation.
#[tokio::test(start_paused = true)]
async fn a_rollback_writes_within_one_poll_of_the_failed_observation() {
    let mut test_run = TestRun::begin(plan("plans/alpha-webapp.yaml"), &example("green-dies-at-50")).await;
    assert_eq!(ending_name(&test_run.run().await), "rolled back");
    let records = test_run.records();
    let green = test_run.started().routes[0].groups["b"].clone();
    let carries =
        time_of_first(&records, |e| matches!(e, Event::StepStarted { label, .. } if label.starts_with("half")));
    let after: Vec<_> = records.into_iter().filter(|r| r.time > carries).collect();
    let sick = time_of_first(&after, |e| matches!(e, Event::GateFailed { .. }));
    let started = time_of_first(&after, |e| matches!(e, Event::RollbackStarted { .. }));
    let intended = time_of_first(&after, |e| matches!(e, Event::Intended { restore: true, .. }));
    let first_write = test_run
        .write_checker
        .writes
        .lock()
        .expect("no thread should have panicked")
        .iter()
        .find(|(_, _, restore)| *restore)
        .expect("the rollback should write")
        .0;
    let done = time_of_first(&after, |e| matches!(e, Event::Finished { .. }));
    let poll = SignedDuration::try_from(test_run.settings.poll).expect("the poll interval should be short");
    assert_eq!(sick, started);
    assert!(intended.duration_since(sick) <= SignedDuration::from_secs(1), "{sick} {intended}");
    assert!(first_write.duration_since(sick) <= poll, "{sick} {first_write}");
    // The rollback makes 36 writes, with a burst of 20 and then three a second.
    assert!(done.duration_since(sick) <= SignedDuration::from_secs(30), "{sick} {done}");
    // The pods die 45 s after the share; then two checks of at most 30 s, and a poll.
    let dead = test_run.lab.model().call(|w, _| {
        w.fault_messages().iter().find(|(_, what)| what.contains("kill")).expect("the scenario should kill the pods").0
    });
    assert!(sick.duration_since(dead) <= SignedDuration::from_secs(75), "{dead} {sick}");
    test_run.assert_original(&[]);
    assert!(test_run.snapshot().healthy[&green] == 0);
}
