//! Runs at a Network Load Balancer, where only new connections follow the weights.

use cutover::app::exit::Exit;
use cutover::domain::emergency::{from_names, script};
use cutover::domain::run::event::{Event, Record};
use cutover::engine::Settings;
use cutover::engine::inventory::read_balancer;
use cutover::plan::model::MarkerMode;
use jiff::{SignedDuration, Timestamp};

use super::test_run::{TestRun, ending_name, example, exit, plan, plan_of, scenario};

/// Returns the time of the first record whose event is as wanted.
fn time_of(records: &[Record], wanted: impl Fn(&Event) -> bool) -> Timestamp {
    records.iter().find(|r| wanted(&r.event)).map(|r| r.time).expect("the journal should have the event")
}

#[tokio::test(start_paused = true)]
async fn a_step_settles_for_ten_minutes() {
    let mut test_run = TestRun::begin(plan("plans/nlb.yaml"), &example("healthy")).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let records = test_run.records();
    for step in [2, 4, 6] {
        let begun = time_of(&records, |e| matches!(e, Event::StepStarted { step: number, .. } if *number == step));
        let settled = time_of(&records, |e| matches!(e, Event::Settled { step: number } if *number == step));
        assert!(settled.duration_since(begun) >= SignedDuration::from_mins(10), "step {step}: {begun} {settled}");
    }
    let text = test_run.output();
    assert!(text.contains("settling: new connections follow the weights, existing connections stay"), "{text}");
}

/// The guard does not wait for the end of the settle, and the rollback waits for no settle of its own.
#[tokio::test(start_paused = true)]
async fn a_guard_acts_while_a_step_settles() {
    let mut test_run = TestRun::begin(plan("plans/nlb.yaml"), &example("green-dies-at-50")).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    test_run.assert_attached();
    let records = test_run.records();
    assert!(!records.iter().any(|r| matches!(r.event, Event::Settled { step: 4 })), "{}", test_run.output());
    let rollback = time_of(&records, |e| matches!(e, Event::RollbackStarted { .. }));
    let end = time_of(&records, |e| matches!(e, Event::Finished { .. }));
    assert!(end.duration_since(rollback) < SignedDuration::from_mins(1), "{rollback} {end}");
    let note = "existing connections to broker-green remain until they close; only new connections";
    assert!(test_run.output().contains(note), "{}", test_run.output());
}

/// A workload behind an ALB and an NLB moves as one step, which ends after the longer settle, and goes back as one.
#[tokio::test(start_paused = true)]
async fn a_workload_behind_both_kinds_moves_as_one() {
    let text = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: mixed}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, eks: shop-a}, {name: b, eks: shop-b}]
  workloads:
    - name: shop
      service: {namespace: shop, name: shop, port: 8080}
      routes:
        - alb: {loadBalancer: shop, listeners: [443], targetGroups: {a: shop-a, b: shop-b}, rules: [{priority: 10}]}
        - nlb: {loadBalancer: tcp, listeners: [5671], targetGroups: {a: tcp-a, b: tcp-b}, settle: 2m}
  strategy:
    from: a
    to: b
    settle: 5s
    steps: [{bind: {}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}, {pause: {duration: 1m}}]
";
    let mut test_run = TestRun::begin(plan_of(text), &example("healthy")).await;
    let settles: Vec<_> = test_run.started().routes.iter().map(|r| (r.settle, r.keeps_connections)).collect();
    assert_eq!(settles, [(None, false), (Some(120), true)]);
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let records = test_run.records();
    let begun = time_of(&records, |e| matches!(e, Event::StepStarted { step: 2, .. }));
    let settled = time_of(&records, |e| matches!(e, Event::Settled { step: 2 }));
    assert!(settled.duration_since(begun) >= SignedDuration::from_mins(2), "{begun} {settled}");
    let mut test_run = TestRun::begin(plan_of(text), &example("green-dies-at-50")).await;
    assert_eq!(ending_name(&test_run.run().await), "rolled back", "{}", test_run.output());
    test_run.assert_original(&[]);
    assert!(test_run.output().contains("existing connections to tcp-b remain"), "{}", test_run.output());
}

/// Without run or plan: the names of the target groups are enough.
#[tokio::test(start_paused = true)]
async fn a_rollback_to_named_groups_prepares_the_listener() {
    let options = |s: &mut Settings| s.orders.until_step = Some(2);
    let mut test_run = TestRun::begin_with(plan("plans/nlb.yaml"), &scenario("{}"), options).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    test_run.assert_shares(10, &[]);
    let selector = &test_run.plan.workloads[0].routes[0].load_balancer;
    let reading = read_balancer::read_for_rollback(selector, &test_run.lab.balancer, &*test_run.lab.clock, true).await;
    let reading = reading.expect("the load balancer should be readable");
    let way = from_names::prepare(&reading, &["*-blue".to_owned()], &["*-green".to_owned()])
        .expect("the names should give a pair of groups");
    let [route] = &way.started.routes[..] else { panic!("{:?}", way.started.routes) };
    assert!(route.keeps_connections && route.settle.is_none(), "{route:?}");
    let text = script::script(&test_run.run, test_run.started(), MarkerMode::Tag, test_run.lab.clock.now());
    assert!(text.contains("aws elbv2 modify-listener --region eu-central-1"), "{text}");
}
