//! The order of side effects: attach, bind, raise; marker before writes; and the delay of a rollback's first write.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::traffic::shares;
use cutover::lab::model::Caller;
use jiff::{SignedDuration, Timestamp};

use super::small;
use super::theatre::{Theatre, example, plan, scenario, word};

/// When the first record is that fits.
fn first(records: &[Record], fits: impl Fn(&Event) -> bool) -> Timestamp {
    records.iter().find(|r| fits(&r.event)).unwrap_or_else(|| panic!("no such record")).time
}

/// The new groups stand in no action yet.
const UNATTACHED: &str = "{targetGroups: [{cluster: to, attached: false}]}";

#[tokio::test(start_paused = true)]
async fn marker_then_attached_at_zero_then_bound_then_raised() {
    let mut theatre = Theatre::begin(small::two_routes(), &scenario(UNATTACHED)).await;
    assert_eq!(word(&theatre.run().await), "completed");
    let started = theatre.started().clone();
    let green = &started.routes[0].groups["b"];
    let share = |set: &cutover::domain::traffic::Split| {
        let managed: Vec<_> = started.routes[0].groups.iter().map(|(c, g)| (c.clone(), g.clone())).collect();
        shares::live_shares(set, &managed).expect("shares")["b"]
    };
    let mut steps = Vec::new();
    for record in theatre.records() {
        match &record.event {
            Event::Intended { writes, restore, .. } => {
                assert!(!restore);
                let all: Vec<_> = writes.iter().map(|w| share(&w.set)).collect();
                assert!(all.windows(2).all(|w| w[0].total_cmp(&w[1]).is_eq()), "one batch, one step: {all:?}");
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
    theatre.stage.model().call(|world, _| {
        let calls: Vec<_> = world
            .calls()
            .iter()
            .filter(|c| c.mutating && c.caller == Caller::Client && !c.operation.contains("dryRun"))
            .collect();
        let at = |name: &str| {
            calls.iter().position(|c| c.operation.contains(name)).unwrap_or_else(|| panic!("no {name}: {calls:?}"))
        };
        assert!(at("AddTags") < at("Modify") && at("Modify") < at("targetgroupbindings"), "{calls:?}");
        let last = calls.last().expect("calls");
        assert_eq!(last.operation, "RemoveTags", "the marker is taken away at the end");
    });
}

/// The whole chain of the reference case: dead pods, the load balancer's two failed checks, then one look.
#[tokio::test(start_paused = true)]
async fn a_rollback_writes_within_a_poll_of_the_failing_look() {
    let mut theatre = Theatre::begin(plan("plans/alpha-webapp.yaml"), &example("green-dies-at-50")).await;
    assert_eq!(word(&theatre.run().await), "rolled back");
    let records = theatre.records();
    let green = theatre.started().routes[0].groups["b"].clone();
    let carries = first(&records, |e| matches!(e, Event::StepStarted { label, .. } if label.starts_with("half")));
    let after: Vec<_> = records.into_iter().filter(|r| r.time > carries).collect();
    let sick = first(&after, |e| matches!(e, Event::GateFailed { .. }));
    let started = first(&after, |e| matches!(e, Event::RollbackStarted { .. }));
    let intended = first(&after, |e| matches!(e, Event::Intended { restore: true, .. }));
    let first_write =
        theatre.witness.writes.lock().expect("a lock").iter().find(|(_, _, restore)| *restore).expect("a write").0;
    let done = first(&after, |e| matches!(e, Event::Finished { .. }));
    let poll = SignedDuration::try_from(theatre.settings.poll).expect("short");
    assert_eq!(sick, started);
    assert!(intended.duration_since(sick) <= SignedDuration::from_secs(1), "{sick} {intended}");
    assert!(first_write.duration_since(sick) <= poll, "{sick} {first_write}");
    // 36 writes at a burst of 20 and three a second.
    assert!(done.duration_since(sick) <= SignedDuration::from_secs(30), "{sick} {done}");
    // The kill is 45 s after the share; two checks of at most 30 s, and a poll.
    let dead = theatre
        .stage
        .model()
        .call(|w, _| w.fault_messages().iter().find(|(_, what)| what.contains("kill")).expect("it kills").0);
    assert!(sick.duration_since(dead) <= SignedDuration::from_secs(75), "{dead} {sick}");
    theatre.assert_original(&[]);
    assert!(theatre.world().healthy[&green] == 0);
}
