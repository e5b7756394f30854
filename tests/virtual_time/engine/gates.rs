//! Metric gates in whole runs: the counts of the lab's load balancer decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cutover::app::exit::Exit;
use cutover::base::time::later;
use cutover::domain::health::HostCounts;
use cutover::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use cutover::domain::metric::verdict::judge::GateResult;
use cutover::domain::run::event::{Event, WaitReason};
use cutover::lab::rehearsal::Options;
use cutover::port::{Clock, Metrics};
use jiff::Timestamp;

use super::small;
use super::test_run::{TestRun, ending_name, exit, scenario};

const GATES_YAML: &str = "metrics: [{name: errors, exec: {command: [/bin/false]}, errorRate: {}}, \
                     {name: share, guard: false, exec: {command: [/bin/false]}, share: {}}]";
const STEPS_YAML: &str = "[{bind: {}}, {setWeight: 20, name: some}, {pause: {duration: 10m}}, {setWeight: 50, name: half}, {pause: {duration: 8m}}, \
                     {setWeight: 100}, {pause: {duration: 2m}}]";

fn verdicts(test_run: &TestRun, name: &str) -> Vec<GateResult> {
    let verdict_of = |event| {
        if let Event::VerdictChanged { gate, verdict: call, .. } = event {
            (gate == name).then_some(call)
        } else {
            None
        }
    };
    test_run.records().into_iter().filter_map(|r| verdict_of(r.event)).collect()
}

async fn begin(gates: &str, spec: &str) -> TestRun {
    let plan = small::gated(gates, "", STEPS_YAML);
    TestRun::begin_at(plan, &scenario(spec), Options { speed: None, rate: Some(30.0) }, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn equal_error_rates_pass_and_all_traffic_moves() {
    let mut test_run = begin(GATES_YAML, "{}").await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    // With the whole traffic on one side, the error-rate gate has nothing to compare, but the share gate has.
    for (gate, passes) in [("errors", 2), ("share", 3)] {
        assert_eq!(
            verdicts(&test_run, gate).iter().filter(|c| **c == GateResult::Pass).count(),
            passes,
            "{gate}: {}",
            test_run.output()
        );
    }
}

/// Health checks pass, but clients get errors: only a metric gate can find this.
#[tokio::test(start_paused = true)]
async fn errors_of_the_new_cluster_cause_a_rollback() {
    let faults = "{faults: [{at: {step: some, after: 4m}, error: {cluster: to, requests: 10, clientsOnly: true}}]}";
    let mut test_run = begin(GATES_YAML, faults).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    test_run.assert_attached();
    assert_eq!(verdicts(&test_run, "errors").last(), Some(&GateResult::Fail));
    assert!(test_run.output().contains("guard gate failed: gate errors: b fails "), "{}", test_run.output());
}

/// A scenario can set the result of a gate that compares the clusters.
#[tokio::test(start_paused = true)]
async fn a_gate_that_the_scenario_lets_fail_causes_a_rollback() {
    let faults = "{faults: [{at: {step: some, after: 4m}, gate: {name: errors, says: fail}}]}";
    let mut test_run = begin(GATES_YAML, faults).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    assert_eq!(verdicts(&test_run, "errors").last(), Some(&GateResult::Fail));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_gate_causes_no_rollback() {
    let watched = GATES_YAML.replace("{name: errors,", "{name: errors, dryRun: true,");
    let faults = "{faults: [{at: {step: some, after: 4m}, error: {cluster: to, requests: 10, clientsOnly: true}}]}";
    let mut test_run = begin(&watched, faults).await;
    let end = test_run.run().await;
    assert_eq!(ending_name(&end), "completed", "{}", test_run.output());
    assert!(verdicts(&test_run, "errors").contains(&GateResult::Fail));
    assert!(test_run.output().contains("gate errors (dry run) fails"));
}

/// With too few requests for a verdict, the run raises nothing, names what it waits for, and after the time-out waits
/// for an operator.
#[tokio::test(start_paused = true)]
async fn a_metric_gate_without_requests_prevents_the_raise() {
    let gates = GATES_YAML.replace("{name: errors,", "{name: errors, minRequests: 1000000,");
    let mut test_run = begin(&gates, "{}").await;
    let end = test_run.run().await;
    assert_eq!(exit(&end), Exit::Waiting, "{}", test_run.output());
    test_run.assert_shares(20, &[]);
    let waits = |event: &Event| matches!(event, Event::Waiting { waits } if waits.iter().any(|w| w.reason == WaitReason::MetricGate));
    assert!(test_run.records().iter().any(|r| waits(&r.event)));
    let lines = test_run.output();
    assert!(
        lines.contains("of the 1000000 requests that a verdict needs")
            && lines.contains("not ready within 20m: gate errors does not pass yet"),
        "{lines}"
    );
}

/// A gate that is measured more often than the run is observed does not keep a process that may exit, also if each
/// measurement takes longer than the interval.
#[tokio::test(start_paused = true)]
async fn a_gate_with_a_short_interval_does_not_keep_a_process_that_may_exit() {
    for takes in [Duration::ZERO, Duration::from_secs(8)] {
        let gate = "metrics: [{name: often, interval: 1s, exec: {command: [/bin/true]}}, \
                    {name: again, interval: 3s, exec: {command: [/bin/true]}}]";
        let plan = small::gated(gate, "", "[{bind: {}}, {setWeight: 20}, {pause: {duration: 1h}}, {setWeight: 100}]");
        let mut test_run = TestRun::begin(plan, &scenario("{}")).await;
        test_run.ports.metrics = Arc::new(SlowMetrics(Arc::clone(&test_run.ports.clock), takes));
        test_run.settings.orders.exit_after = Some(later(test_run.ports.clock.now(), Duration::from_mins(3)));
        let end = tokio::time::timeout(Duration::from_hours(1), test_run.run()).await;
        let end = end.unwrap_or_else(|_| panic!("the process does not exit\n{}", test_run.output()));
        assert_eq!((ending_name(&end), exit(&end)), ("waiting", Exit::Waiting), "{}", test_run.output());
        test_run.assert_shares(20, &[]);
        let exited = test_run.records().last().expect("the journal must have records").time;
        let late = exited.duration_since(test_run.settings.orders.exit_after.expect("the time is set above"));
        assert!(late <= jiff::SignedDuration::from_secs(30), "{late}");
    }
}

/// A source of measurements that takes this long.
struct SlowMetrics(Arc<dyn Clock>, Duration);

#[async_trait]
impl Metrics for SlowMetrics {
    async fn measure(&self, requests: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        self.0.sleep(self.1).await;
        let passes = MeasuredValue::State { well: true, message: String::new() };
        requests.iter().map(|_| passes.clone()).collect()
    }

    async fn host_counts(&self, _: &[(String, String)], _: Timestamp) -> Result<BTreeMap<String, HostCounts>, String> {
        Err("this source has no counts".into())
    }

    async fn open_connections(&self, _: &[(String, String)], _: Timestamp) -> Result<BTreeMap<String, u64>, String> {
        Err("this source has no counts".into())
    }
}

/// EKS Auto Mode registers targets only in target groups with the tag of the cluster.
#[tokio::test(start_paused = true)]
async fn auto_mode_registers_no_targets_without_the_tag_of_the_cluster() {
    for (groups, ending, share) in [
        ("", "waiting", 0),
        ("targetGroups: [{cluster: to, tags: {'eks:eks-cluster-name': other}}]", "waiting", 0),
        ("targetGroups: [{cluster: to, tags: {'eks:eks-cluster-name': shop-b}}]", "completed", 100),
    ] {
        let clusters = "clusters: [{name: from, autoMode: true}, {name: to, autoMode: true}]";
        let mut test_run = TestRun::begin(small::two_routes(), &scenario(&format!("{{{clusters}, {groups}}}"))).await;
        let end = test_run.run().await;
        assert_eq!(ending_name(&end), ending, "{groups}: {}", test_run.output());
        test_run.assert_shares(share, &[]);
        if share == 0 {
            assert!(test_run.output().contains("shop-b has 0 of the"), "{}", test_run.output());
        }
    }
}
