//! Compares metrics with a recorded page. The tiers test metrics and traces with the parsers of other tools.

use std::time::Duration;

use cutover::adapter::calls::CallOutcome;
use cutover::adapter::telemetry::MetricsFormat;
use cutover::app::telemetry::metrics::{RunMetrics, text};
use cutover::domain::health::HealthCounts;
use cutover::domain::metric::verdict::judge::GateResult;
use cutover::domain::run::event::{Record, WaitReason};
use cutover::domain::run::journal;
use cutover::domain::run::state::{GateHistory, State};

/// Returns the records of a journal of the corpus.
pub fn records() -> Vec<Record> {
    let bytes =
        std::fs::read("tests/journals/canary-aborted.jsonl").expect("the journal of the corpus should be readable");
    journal::parse(&bytes).expect("the journal should parse").records
}

/// Returns the metrics of a run in progress, with a value in every metric family.
pub fn run_metrics() -> RunMetrics {
    let records = records();
    let state = State::fold(&records[..records.len() / 2])
        .expect("the records should be valid")
        .expect("the state should not be empty");
    let plan = cutover::plan::lint("v1", state.started.text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let mut run_metrics = RunMetrics::new(&plan, state);
    let group = run_metrics.state.started.groups.keys().next().expect("a group should exist").clone();
    run_metrics.health.insert(group, HealthCounts { healthy: 4, draining: 1, ..HealthCounts::default() });
    run_metrics
        .state
        .gates
        .insert("errors".into(), GateHistory { measurements: Vec::new(), last_verdict: Some(GateResult::Hold) });
    run_metrics.observed_at = Some(run_metrics.state.last_record_at);
    run_metrics.waits = vec![WaitReason::Bake];
    run_metrics.waited = [(WaitReason::Bake, 61.5), (WaitReason::RaiseGate, 3.0)].into();
    run_metrics.writes = [("applied", 6), ("unknown", 1)].into();
    let call = |operation: &str| ("Elastic Load Balancing v2".to_owned(), operation.to_owned());
    let of = |operation: &str, outcome| (call(operation).0, call(operation).1, outcome);
    run_metrics.calls.calls = [
        (of("ModifyRule", CallOutcome::Ok), 5),
        (of("ModifyRule", CallOutcome::Throttled), 2),
        (of("with \"quotes\"\\", CallOutcome::Ok), 1),
    ]
    .into();
    run_metrics.calls.durations = [(call("ModifyRule"), (7, Duration::from_millis(1250)))].into();
    run_metrics
}

#[test]
fn a_run_as_metrics() {
    let page = text(&run_metrics(), MetricsFormat::OpenMetrics)
        .replace(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), "version=\"VERSION\"");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(page) });
    let samples = |page: &str| page.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        samples(&text(&run_metrics(), MetricsFormat::Prometheus)),
        samples(&text(&run_metrics(), MetricsFormat::OpenMetrics))
    );
}
