//! Metric gates in whole runs: the counts of the lab's load balancer decide.

use cutover::app::exit::Exit;
use cutover::domain::metric::verdict::judge::GateResult;
use cutover::domain::run::event::{Event, WaitReason};
use cutover::lab::rehearsal::Options;

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
