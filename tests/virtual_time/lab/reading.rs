//! Reading a large load balancer before a run, within the rate limits of AWS.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use cutover::adapter::hook::NoHooks;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::prepare::{Preparation, prepare};
use cutover::base::finding::Code;
use cutover::engine::Ports;
use cutover::engine::inventory::ReadPacer;
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;

/// Routes of the large plan. Every route has two groups, and 25 routes are on one load balancer.
const ROUTES: usize = 100;
const BALANCERS: usize = ROUTES / 25;
/// The lab adds a group to each load balancer.
const GROUPS: usize = 2 * ROUTES + BALANCERS;

fn plan(routes: usize) -> Plan {
    let mut text = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: large}
spec:
  aws: {accountId: \"123456789012\", region: ap-northeast-2}
  clusters: [{name: a, eks: large-a}, {name: b, eks: large-b}]
  strategy: {from: a, to: b, settle: 30s, steps: [{bind: {}}, {setWeight: 10}, {setWeight: 100}]}
  workloads:
"
    .to_owned();
    for n in 0..routes {
        let (balancer, priority) = (n / 25 + 1, n % 25 + 1);
        writeln!(
            text,
            "    - {{name: w{n}, service: {{namespace: large, name: w{n}, port: http}}, routes: [{{alb: {{loadBalancer: \
             large-{balancer}, listeners: [80], targetGroups: {{a: w{n}-a, b: w{n}-b}}, rules: [{{priority: \
             {priority}}}], expect: 1}}}}]}}"
        )
        .expect("a string accepts text");
    }
    cutover::plan::lint("large.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

/// The outcome of reading a lab.
struct Outcome {
    preparation: Preparation,
    /// The number of accepted calls of ELBv2, by operation.
    calls: BTreeMap<String, usize>,
    throttled: usize,
    seconds: f64,
}

/// Reads the lab of a plan with the limits of a small account.
async fn read(plan: &Plan, max_read_time: Option<Duration>) -> Outcome {
    let scenario = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: small-account}\nspec: {limits: \
                    {describe: {burst: 40, perSecond: 10}, modify: {burst: 20, perSecond: 3}}}\n";
    let scenario = Scenario::parse("test.yaml", scenario).expect("the scenario should parse");
    let options = Options { speed: None, rate: Some(1.0) };
    let lab = RehearsalLab::virtual_time(plan.clone(), &scenario, 1, options).await.unwrap_or_else(|e| panic!("{e}"));
    let reads = ReadPacer::new(Arc::clone(&lab.clock));
    if let Some(limit) = max_read_time {
        reads.set_limit(limit);
    }
    let ports = Ports {
        balancer: lab.balancer.clone(),
        clusters: lab.clusters.clone(),
        compared: lab.compared.clone(),
        items: lab.items.clone(),
        metrics: Arc::new(NoMetrics),
        hooks: Arc::new(NoHooks),
        clock: Arc::clone(&lab.clock),
        reads,
        store: Arc::new(MemoryStore::new()),
    };
    let start = lab.clock.now();
    let preparation = prepare(plan, &ports, 1).await;
    let seconds = lab.clock.now().duration_since(start).as_secs_f64();
    let (mut calls, mut throttled) = (BTreeMap::new(), 0);
    lab.model().call(|world, _| {
        for call in world.calls().iter().filter(|c| &*c.service == "elasticloadbalancing") {
            match call.outcome.as_str() {
                "Throttling" => throttled += 1,
                _ => *calls.entry(call.operation.clone()).or_default() += 1,
            }
        }
    });
    Outcome { preparation, calls, throttled, seconds }
}

fn codes(outcome: &Outcome) -> Vec<Code> {
    outcome.preparation.report.findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test(start_paused = true)]
async fn a_large_plan_is_read_once_at_the_rate_of_a_small_account() {
    let outcome = read(&plan(ROUTES), None).await;
    assert!(!codes(&outcome).contains(&Code::CUT052), "{:?}", outcome.preparation.report.findings);
    let expected = [
        ("DescribeListeners", BALANCERS),
        ("DescribeLoadBalancerAttributes", BALANCERS),
        ("DescribeLoadBalancers", BALANCERS),
        ("DescribeRules", BALANCERS),
        // The load balancer, 26 listeners and rules, 51 groups.
        ("DescribeTags", BALANCERS * (1 + 2 + 3)),
        ("DescribeTargetGroupAttributes", GROUPS),
        ("DescribeTargetGroups", BALANCERS),
        ("DescribeTargetHealth", GROUPS),
    ];
    let expected = expected.map(|(operation, calls)| (operation.to_owned(), calls));
    assert_eq!(outcome.calls, expected.into());
    let calls: usize = outcome.calls.values().sum();
    let seconds = f64::from(u32::try_from(calls).expect("a small number")) / 10.0;
    assert!(outcome.seconds <= 1.2 * seconds, "{} s for {calls} calls", outcome.seconds);
    assert!(outcome.throttled <= calls / 4, "{} of {calls} calls were throttled", outcome.throttled);
}

#[tokio::test(start_paused = true)]
async fn a_small_plan_is_read_without_a_pause() {
    let outcome = read(&plan(4), None).await;
    assert_eq!(outcome.throttled, 0);
    assert!(outcome.seconds < 1.0, "{} s", outcome.seconds);
}

/// Only the time that the user gives ends a reading.
#[tokio::test(start_paused = true)]
async fn a_reading_that_takes_too_long_is_one_finding() {
    let outcome = read(&plan(ROUTES), Some(Duration::from_secs(20))).await;
    assert!(outcome.seconds < 21.0, "{} s", outcome.seconds);
    let findings = outcome.preparation.report.findings;
    let unread: Vec<_> = findings.iter().filter(|finding| finding.code == Code::CUT052).collect();
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert!(unread[0].message.contains("20s") && unread[0].message.contains("--max-read-time"), "{unread:?}");
}
