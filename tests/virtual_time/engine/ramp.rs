//! Rollbacks in stages, for an old cluster that needs time to warm up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cutover::domain::run::event::{Event, Ramp, Record, Wait, WaitReason};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Phase, State};
use cutover::domain::traffic::{RouteId, Split};
use cutover::engine::{Ending, Interrupt, RunLoop, Subscriber, ownership};
use cutover::port::store::Request;
use jiff::Timestamp;

use super::small;
use super::test_run::{ProcessEnd, TestRun, ending_name, scenario};

struct SilentSubscriber;

impl Subscriber for SilentSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

fn ramp_request() -> Request {
    Request::Ramp {
        by: "bob@lab".into(),
        force: false,
        break_stickiness: None,
        ramp: Ramp { percents: vec![25, 50, 100], every: 120 },
    }
}

/// Runs a plan whose whole traffic moves to `b`; a minute later an operator requests a rollback in stages. `more`
/// returns further requests.
async fn raise_then_roll_back(spec: &str, more: &mut (dyn FnMut(&State) -> Vec<Request> + Send)) -> (TestRun, Ending) {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 100}, {pause: {duration: 1h}}]");
    let mut test_run = TestRun::begin(plan, &scenario(spec)).await;
    let mut requested = false;
    let mut person = |state: &State, _: &Observed, _: &[Wait], now: Timestamp| {
        if state.phase == Phase::Baking && !requested && now.duration_since(state.step_since).as_secs() >= 60 {
            requested = true;
            return vec![ramp_request()];
        }
        more(state)
    };
    let ProcessEnd::Ended(ending) = test_run.run_process_with(&mut person).await else {
        panic!("the process should not die")
    };
    (test_run, ending)
}

/// Returns each stage after the start of the ramp: its start in seconds, its percentage, and the shares of `b` before
/// it.
fn stages(records: &[Record]) -> Vec<(i64, u32, BTreeSet<u32>)> {
    let mut shares: BTreeMap<&RouteId, u32> = BTreeMap::new();
    let (mut since, mut all) = (None, Vec::new());
    for record in records {
        match &record.event {
            Event::RampStarted { .. } => since = Some(record.time),
            Event::Outcome { route, live: Some(live), .. } if since.is_some() => {
                let _ = shares.insert(route, share(live));
            }
            Event::Ramped { percent, .. } => {
                let seconds = record.time.duration_since(since.expect("the ramp should have started")).as_secs();
                all.push((seconds, *percent, shares.values().copied().collect()));
            }
            _ => {}
        }
    }
    all
}

/// Returns the share of the new groups, in percent of the old and new groups' weights.
fn share(split: &Split) -> u32 {
    let of = |name: &str| -> u32 {
        let tuples = split.members.iter().filter(|m| m.id.contains(name));
        tuples.map(|t| u32::from(t.weight.unwrap_or(0))).sum()
    };
    of("/shop-b/") * 100 / (of("/shop-a/") + of("/shop-b/"))
}

#[tokio::test(start_paused = true)]
async fn a_rollback_in_stages_waits_between_the_stages() {
    let (test_run, ending) = raise_then_roll_back("{}", &mut |_| vec![]).await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    test_run.assert_original(&[]);
    let stages = stages(&test_run.records());
    assert_eq!(stages.iter().map(|(_, percent, _)| *percent).collect::<Vec<_>>(), [50, 100], "{}", test_run.output());
    assert_eq!(stages.iter().map(|(_, _, shares)| shares.clone()).collect::<Vec<_>>(), [[75].into(), [50].into()]);
    assert!((120..135).contains(&stages[0].0) && (240..270).contains(&stages[1].0), "{stages:?}");
}

/// The process dies in the middle; the next process continues with the next stage.
#[tokio::test(start_paused = true)]
async fn a_ramp_continues_after_a_crash() {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 100}, {pause: {duration: 1h}}]");
    let mut test_run = TestRun::begin_with(plan, &scenario("{}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    let lbs = test_run.started().load_balancers.clone();
    for life in 0..2 {
        let (ports, settings) = (test_run.ports.clone(), test_run.settings.clone());
        let ownership =
            ownership::acquire_to_restore(&ports, &settings, test_run.plan.marker, &test_run.run, &lbs, true, None)
                .await;
        let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
        let mut subscriber = SilentSubscriber;
        let mut run = RunLoop::open(&test_run.plan, ports, settings, ownership, Interrupt::default(), &mut subscriber)
            .await
            .expect("the run should be acquired");
        if life == 0 {
            run.carry_out(&ramp_request())
                .await
                .expect("the request should be journalled")
                .expect("the rollback should begin");
            tokio::select! {
                ending = run.drive() => panic!("{ending:?}"),
                () = test_run.sleep(Duration::from_secs(150)) => {}
            }
            run.release().await;
            continue;
        }
        assert_eq!(ending_name(&run.drive().await.expect("the rollback should end")), "aborted");
    }
    test_run.assert_original(&[]);
    let records = test_run.test_store.records().clone();
    assert_eq!(stages(&records).iter().map(|(_, percent, _)| *percent).collect::<Vec<_>>(), [50, 100]);
}

/// A second `rollback`, without stages, ends the waiting.
#[tokio::test(start_paused = true)]
async fn a_plain_rollback_skips_the_remaining_stages() {
    let mut requested = false;
    let mut second_request = |state: &State| {
        let second = state.rollback.as_ref().and_then(|r| r.unfinished_stage()).is_some_and(|part| part.percent == 50);
        if !second || std::mem::replace(&mut requested, true) {
            vec![]
        } else {
            vec![Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None }]
        }
    };
    let (test_run, ending) = raise_then_roll_back("{}", &mut second_request).await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    test_run.assert_original(&[]);
    let records = test_run.records();
    let at = |wanted: fn(&Event) -> bool| {
        records.iter().find(|r| wanted(&r.event)).expect("the journal should have such a record").time
    };
    let (requested, over) =
        (at(|e| matches!(e, Event::RollbackStarted { .. })), at(|e| matches!(e, Event::Finished { .. })));
    assert!(over.duration_since(requested).as_secs() < 30, "{}", test_run.output());
}

/// The old cluster was scaled down: half of the traffic returns only after the old cluster has scaled up.
#[tokio::test(start_paused = true)]
async fn a_stage_waits_until_the_old_cluster_has_enough_targets() {
    let spec = "{clusters: [{name: from, workload: {replicas: 10}}, {name: to, workload: {replicas: 10}}], faults: [\
        {at: {share: {cluster: to, atLeast: 100}, after: 20s}, scale: {cluster: from, replicas: 3}}, \
        {at: {share: {cluster: to, atLeast: 100}, after: 10m}, scale: {cluster: from, replicas: 10}}]}";
    let (test_run, ending) = raise_then_roll_back(spec, &mut |_| vec![]).await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    test_run.assert_original(&[]);
    let records = test_run.records();
    let stages = stages(&records);
    assert!(stages[0].0 > 480, "{stages:?}");
    let why = |r: &Record| matches!(&r.event, Event::Waiting { waits } if waits.iter().any(|w| w.reason == WaitReason::Ramp && w.message.contains("3 healthy targets; 50 % of the traffic needs at least 4")));
    assert!(records.iter().any(why), "{}", test_run.output());
}

/// The new cluster has no healthy target: the remaining stages are skipped.
#[tokio::test(start_paused = true)]
async fn a_dead_new_cluster_skips_the_remaining_stages() {
    let spec = "{faults: [{at: {share: {cluster: to, atLeast: 100}, after: 150s}, kill: {cluster: to}}]}";
    let (test_run, ending) = raise_then_roll_back(spec, &mut |_| vec![]).await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    test_run.assert_original(&[]);
    let early = test_run
        .records()
        .into_iter()
        .find_map(|r| if let Event::Ramped { percent, early } = r.event { Some((percent, early)) } else { None });
    let (percent, early) = early.expect("a stage should begin");
    assert!(
        percent == 100 && early.is_some_and(|why| why.contains("shop-b has no healthy target")),
        "{}",
        test_run.output()
    );
}
