//! A way back in parts, for an old cluster that has grown cold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cutover::domain::run::event::{Event, Ramp, Record, Wait, WaitReason};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Phase, State};
use cutover::domain::traffic::{RouteId, Split};
use cutover::engine::{Audience, Ending, Interrupt, RunLoop, ownership};
use cutover::port::store::Request;
use jiff::Timestamp;

use super::small;
use super::theatre::{Life, Theatre, scenario, word};

struct Nobody;

impl Audience for Nobody {
    fn record(&mut self, _: &Record) {}
    fn turn(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

fn request() -> Request {
    Request::Ramp { by: "bob@lab".into(), force: false, ramp: Ramp { percents: vec![25, 50, 100], every: 120 } }
}

/// A run whose whole traffic is on `b`, and goes back in parts a minute later; `more` is asked too.
async fn there_and_back(spec: &str, more: &mut (dyn FnMut(&State) -> Vec<Request> + Send)) -> (Theatre, Ending) {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 100}, {pause: {duration: 1h}}]");
    let mut theatre = Theatre::begin(plan, &scenario(spec)).await;
    let mut asked = false;
    let mut person = |state: &State, _: &Observed, _: &[Wait], now: Timestamp| {
        if state.phase == Phase::Baking && !asked && now.duration_since(state.step_since).as_secs() >= 60 {
            asked = true;
            return vec![request()];
        }
        more(state)
    };
    let Life::Ended(ending) = theatre.live_with(&mut person).await else { panic!("it lives") };
    (theatre, ending)
}

/// Since the ramp began: at how many seconds which part begins, and what every route's share of `b` was until then.
fn parts(records: &[Record]) -> Vec<(i64, u32, BTreeSet<u32>)> {
    let mut shares: BTreeMap<&RouteId, u32> = BTreeMap::new();
    let (mut since, mut all) = (None, Vec::new());
    for record in records {
        match &record.event {
            Event::RampStarted { .. } => since = Some(record.time),
            Event::Outcome { route, live: Some(live), .. } if since.is_some() => {
                let _ = shares.insert(route, share(live));
            }
            Event::Ramped { percent, .. } => {
                let seconds = record.time.duration_since(since.expect("it began")).as_secs();
                all.push((seconds, *percent, shares.values().copied().collect()));
            }
            _ => {}
        }
    }
    all
}

/// The share of the new groups, in percent of theirs and the old ones'.
fn share(split: &Split) -> u32 {
    let of = |name: &str| -> u32 {
        let tuples = split.members.iter().filter(|m| m.id.contains(name));
        tuples.map(|t| u32::from(t.weight.unwrap_or(0))).sum()
    };
    of("/shop-b/") * 100 / (of("/shop-a/") + of("/shop-b/"))
}

#[tokio::test(start_paused = true)]
async fn a_way_back_in_parts_takes_its_time() {
    let (theatre, ending) = there_and_back("{}", &mut |_| vec![]).await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    theatre.assert_original(&[]);
    let parts = parts(&theatre.records());
    assert_eq!(parts.iter().map(|(_, percent, _)| *percent).collect::<Vec<_>>(), [50, 100], "{}", theatre.lines());
    assert_eq!(parts.iter().map(|(_, _, shares)| shares.clone()).collect::<Vec<_>>(), [[75].into(), [50].into()]);
    assert!((120..135).contains(&parts[0].0) && (240..270).contains(&parts[1].0), "{parts:?}");
}

/// A process that dies in the middle leaves the parts to the next one, which does not begin anew.
#[tokio::test(start_paused = true)]
async fn it_goes_on_where_it_was_left() {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 100}, {pause: {duration: 1h}}]");
    let mut theatre = Theatre::begin_with(plan, &scenario("{}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    let lbs = theatre.started().load_balancers.clone();
    for life in 0..2 {
        let (ports, settings) = (theatre.ports.clone(), theatre.settings.clone());
        let ownership =
            ownership::acquire_to_restore(&ports, &settings, theatre.plan.marker, &theatre.run, &lbs, true, None).await;
        let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
        let mut nobody = Nobody;
        let mut run = RunLoop::open(&theatre.plan, ports, settings, ownership, Interrupt::default(), &mut nobody)
            .await
            .expect("it is taken");
        if life == 0 {
            run.carry_out(&request()).await.expect("journalled").expect("it begins");
            tokio::select! {
                ending = run.drive() => panic!("{ending:?}"),
                () = theatre.sleep(Duration::from_secs(150)) => {}
            }
            run.release().await;
            continue;
        }
        assert_eq!(word(&run.drive().await.expect("it ends")), "aborted");
    }
    theatre.assert_original(&[]);
    let records = theatre.ledger.records().clone();
    assert_eq!(parts(&records).iter().map(|(_, percent, _)| *percent).collect::<Vec<_>>(), [50, 100]);
}

/// A second `rollback`, without stages, ends the waiting.
#[tokio::test(start_paused = true)]
async fn a_plain_rollback_goes_all_the_way_at_once() {
    let mut asked = false;
    let mut impatient = |state: &State| {
        let second = state.rollback.as_ref().and_then(|r| r.unfinished_stage()).is_some_and(|part| part.percent == 50);
        if !second || std::mem::replace(&mut asked, true) {
            vec![]
        } else {
            vec![Request::Rollback { by: "bob@lab".into(), force: false }]
        }
    };
    let (theatre, ending) = there_and_back("{}", &mut impatient).await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    theatre.assert_original(&[]);
    let records = theatre.records();
    let at = |wanted: fn(&Event) -> bool| records.iter().find(|r| wanted(&r.event)).expect("it happened").time;
    let (asked, over) =
        (at(|e| matches!(e, Event::RollbackStarted { .. })), at(|e| matches!(e, Event::Finished { .. })));
    assert!(over.duration_since(asked).as_secs() < 30, "{}", theatre.lines());
}

/// The old cluster was scaled down: a quarter of the traffic comes back, and no more until it has grown.
#[tokio::test(start_paused = true)]
async fn a_part_waits_until_the_old_side_can_take_it() {
    let spec = "{clusters: [{name: from, workload: {replicas: 10}}, {name: to, workload: {replicas: 10}}], faults: [\
        {at: {share: {cluster: to, atLeast: 100}, after: 20s}, scale: {cluster: from, replicas: 3}}, \
        {at: {share: {cluster: to, atLeast: 100}, after: 10m}, scale: {cluster: from, replicas: 10}}]}";
    let (theatre, ending) = there_and_back(spec, &mut |_| vec![]).await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    theatre.assert_original(&[]);
    let records = theatre.records();
    let parts = parts(&records);
    assert!(parts[0].0 > 480, "{parts:?}");
    let why = |r: &Record| matches!(&r.event, Event::Waiting { waits } if waits.iter().any(|w| w.reason == WaitReason::Ramp && w.message.contains("3 healthy targets; 50 % of the traffic needs at least 4")));
    assert!(records.iter().any(why), "{}", theatre.lines());
}

/// Nothing is gained by leaving traffic where nobody answers.
#[tokio::test(start_paused = true)]
async fn a_dead_new_side_ends_the_parts() {
    let spec = "{faults: [{at: {share: {cluster: to, atLeast: 100}, after: 150s}, kill: {cluster: to}}]}";
    let (theatre, ending) = there_and_back(spec, &mut |_| vec![]).await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    theatre.assert_original(&[]);
    let early = theatre
        .records()
        .into_iter()
        .find_map(|r| if let Event::Ramped { percent, early } = r.event { Some((percent, early)) } else { None });
    let (percent, early) = early.expect("it goes on");
    assert!(
        percent == 100 && early.is_some_and(|why| why.contains("shop-b has no healthy target")),
        "{}",
        theatre.lines()
    );
}
