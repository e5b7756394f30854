//! Header routes: made, used, ended by a step, at the end of the run and by a rollback, also after a crash at every
//! record.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::domain::run::event::{Event, Wait};
use cutover::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Phase, State};
use cutover::lab::model::ClientRequest;
use cutover::lab::shared_model::SharedModel;
use cutover::plan::model::Plan;
use cutover::port::store::Request;
use jiff::Timestamp;

use super::small;
use super::store::Death;
use super::test_run::{ProcessEnd, TestRun, ending_name, scenario};

const HEADER: &str = "{setHeaderRoute: {match: [{headerName: X-Canary, headerValue: {exact: \"yes\"}}]}}";

/// A header route before the first percent, which `end` ends: a step, or the end of the run.
fn plan(end: &str) -> Plan {
    let steps = format!(
        "[{{bind: {{}}}}, {HEADER}, {{pause: {{duration: 60s}}}}, {end}{{setWeight: 50}}, {{setWeight: 100}}, \
         {{pause: {{duration: 30s}}}}]"
    );
    small::spaced_routes(&steps)
}

/// Returns the clusters that answer a request to each route, without and with the header.
fn answers(model: &SharedModel) -> BTreeMap<(Option<String>, Option<String>), usize> {
    model.call(|world, now| {
        let mut all = BTreeMap::new();
        for (load_balancer, port, host, path) in world.sample_requests() {
            let mut answer = |headers: &[(&str, &str)]| {
                let request = ClientRequest {
                    load_balancer: &load_balancer,
                    port,
                    host: &host,
                    path: &path,
                    cookie: None,
                    headers,
                };
                world.pick(&request, now).cluster.map(|cluster| cluster.to_string())
            };
            *all.entry((answer(&[]), answer(&[("x-canary", "YES")]))).or_default() += 1;
        }
        all
    })
}

/// Returns the number of rules of the load balancers, without those of the beginning.
fn new_rules(test_run: &TestRun) -> usize {
    test_run.snapshot().routes.keys().filter(|arn| !test_run.before.routes.contains_key(*arn)).count()
}

fn changes(test_run: &TestRun) -> Vec<HeaderRuleEvent> {
    let change = |event| if let Event::HeaderRules(change) = event { Some(change) } else { None };
    test_run.records().into_iter().filter_map(|record| change(record.event)).collect()
}

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None }
}

#[tokio::test(start_paused = true)]
async fn requests_with_the_header_go_to_the_new_cluster_until_an_empty_match() {
    let mut test_run = TestRun::begin(plan("{setHeaderRoute: {match: []}}, "), &scenario("{}")).await;
    let model = test_run.lab.model().clone();
    let (mut during, mut after) = (BTreeMap::new(), BTreeMap::new());
    let mut look = |state: &State, _: &Observed, _: &[Wait], now: Timestamp| {
        if state.phase == Phase::Baking && state.step == 3 && now.duration_since(state.step_since).as_secs() > 30 {
            during = answers(&model);
        }
        if state.phase == Phase::RoutingHeaders && state.step == 4 && state.header_rules.rules.is_empty() {
            after = answers(&model);
        }
        vec![]
    };
    let ending = test_run.run_with(&mut look).await;
    let text = test_run.output();
    assert_eq!(ending_name(&ending), "completed", "{text}");
    let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
    assert_eq!(during.keys().collect::<Vec<_>>(), [&(a.clone(), b)], "{text}");
    assert_eq!(after.keys().collect::<Vec<_>>(), [&(a.clone(), a)], "{text}");
    assert_eq!(new_rules(&test_run), 0, "{text}");
    test_run.assert_shares(100, &[]);
    let made = changes(&test_run).iter().filter(|c| matches!(c, HeaderRuleEvent::Made { .. })).count();
    assert_eq!(made, during.values().sum::<usize>() + 2, "the first rule of each listener has five values: {text}");
    test_run.lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_run_removes_the_header_rules() {
    let mut test_run = TestRun::begin(plan(""), &scenario("{}")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed", "{}", test_run.output());
    assert_eq!(new_rules(&test_run), 0, "{}", test_run.output());
    assert!(test_run.output().contains("every header rule is removed"), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    test_run.lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_removes_the_header_rules_and_delays_no_weight() {
    let steps = format!("[{{bind: {{}}}}, {HEADER}, {{setWeight: 50}}, {{pause: {{duration: 1h}}}}]");
    let mut test_run = TestRun::begin(small::spaced_routes(&steps), &scenario("{}")).await;
    let mut sent = false;
    let mut person = |state: &State, _: &Observed, _: &[Wait], _: Timestamp| {
        let now = state.phase == Phase::Baking && !sent;
        sent |= now;
        if now { vec![rollback()] } else { vec![] }
    };
    let ending = test_run.run_with(&mut person).await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    assert_eq!(new_rules(&test_run), 0, "{}", test_run.output());
    test_run.assert_original(&[]);
    let records = test_run.records();
    let last_intent = records.iter().rposition(|r| matches!(r.event, Event::Intended { restore: true, .. }));
    let removed =
        |e: &Event| matches!(e, Event::HeaderRules(HeaderRuleEvent::Ended { result: HeaderRuleEnd::Removed, .. }));
    let first_removal = records.iter().position(|r| removed(&r.event));
    assert!(last_intent < first_removal, "the weights must be sent first");
    test_run.lab.stop().await;
}

/// A plan whose header rules have no place is refused by the check.
#[tokio::test(start_paused = true)]
async fn a_rule_without_a_free_priority_is_named() {
    let steps = format!("[{{bind: {{}}}}, {HEADER}, {{setWeight: 100}}, {{pause: {{duration: 30s}}}}]");
    let spec = "{loadBalancers: [{name: shop, listeners: [{port: 80, rules: [{priority: 1, paths: [/a*]}, {}]}, \
                {port: 443, rules: [{}]}]}]}";
    let plan = small::many_routes("", &steps);
    let lab = cutover::lab::rehearsal::RehearsalLab::virtual_time(
        plan.clone(),
        &scenario(spec),
        1,
        cutover::lab::rehearsal::Options { speed: None, rate: Some(2.0) },
    )
    .await
    .unwrap_or_else(|e| panic!("{e}"));
    let prepared = cutover::app::prepare::prepare(&plan, &super::test_run::ports_of(&lab), 1).await;
    let refusal = prepared.refusal().map(|why| why.to_string()).unwrap_or_default();
    assert!(refusal.contains("80 rule 1"), "{refusal}");
    lab.stop().await;
}

/// Crashes at a record, and continues the run after a while. Returns whether the run crashed there.
async fn crashes_at(seq: u64, death: Death, back: Option<Request>) -> bool {
    let plan = || {
        let steps = format!("[{{bind: {{}}}}, {HEADER}, {{setWeight: 50}}, {{setWeight: 100}}]");
        small::two_routes_with(&steps)
    };
    let mut test_run = TestRun::begin(plan(), &scenario("{}")).await;
    test_run.test_store.dies_at(Some((seq, death)));
    let life = test_run.run_process().await;
    test_run.test_store.dies_at(None);
    if life != ProcessEnd::Killed {
        test_run.lab.stop().await;
        return false;
    }
    test_run.sleep(Duration::from_secs(20)).await;
    let goal = if back.is_some() { "aborted" } else { "completed" };
    if let Some(request) = back {
        test_run.send_request(request);
    }
    let ending = ending_name(&test_run.run().await);
    let text = format!("{death:?} at record {seq}: {}", test_run.output());
    assert_eq!(ending, goal, "{text}");
    assert_eq!(new_rules(&test_run), 0, "{text}");
    if goal == "aborted" {
        test_run.assert_original(&[]);
    } else {
        test_run.assert_shares(100, &[]);
    }
    test_run.lab.stop().await;
    true
}

async fn crash_at_every_record(death: Death, back: impl Fn() -> Option<Request>) {
    let mut seq = 3;
    while crashes_at(seq, death, back()).await {
        seq += 1;
    }
    assert!(seq > 30, "the run should have more than 30 records, but it has {seq}");
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_after_any_record_ends_without_header_rules() {
    crash_at_every_record(Death::After, || None).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_in_any_record_ends_without_header_rules() {
    crash_at_every_record(Death::Torn, || None).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_after_any_record_rolls_back_without_header_rules() {
    crash_at_every_record(Death::After, || Some(rollback())).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_in_any_record_rolls_back_without_header_rules() {
    crash_at_every_record(Death::Torn, || Some(rollback())).await;
}
