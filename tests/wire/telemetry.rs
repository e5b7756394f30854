//! Metrics and traces, compared with a recorded page. The tiers test them with the parsers of other tools.

use std::time::Duration;

use cutover::adapter::calls::Outcome;
use cutover::adapter::telemetry::Dialect;
use cutover::app::telemetry::metrics::{Gauges, text};
use cutover::domain::health::Counts;
use cutover::domain::metric::verdict::judge::Call;
use cutover::domain::run::event::{Record, WaitReason};
use cutover::domain::run::journal;
use cutover::domain::run::state::{Gate, State};

/// The records of a journal of the corpus.
pub fn records() -> Vec<Record> {
    let bytes = std::fs::read("tests/journals/canary-aborted.jsonl").expect("a journal of the corpus");
    journal::parse(&bytes).expect("it parses").records
}

/// A run in progress, with a value in every metric family.
pub fn gauges() -> Gauges {
    let records = records();
    let state = State::fold(&records[..records.len() / 2]).expect("legal").expect("a state");
    let plan = cutover::plan::lint("v1", state.started.text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let mut gauges = Gauges::new(&plan, state);
    let group = gauges.state.started.groups.keys().next().expect("a group").clone();
    gauges.health.insert(group, Counts { healthy: 4, draining: 1, ..Counts::default() });
    gauges.state.gates.insert("errors".into(), Gate { measured: Vec::new(), said: Some(Call::Hold) });
    gauges.look = Some(gauges.state.last);
    gauges.waits = vec![WaitReason::Bake];
    gauges.waited = [(WaitReason::Bake, 61.5), (WaitReason::RaiseGate, 3.0)].into();
    gauges.writes = [("applied", 6), ("unknown", 1)].into();
    let call = |operation: &str| ("Elastic Load Balancing v2".to_owned(), operation.to_owned());
    let of = |operation: &str, outcome| (call(operation).0, call(operation).1, outcome);
    gauges.calls.calls = [
        (of("ModifyRule", Outcome::Ok), 5),
        (of("ModifyRule", Outcome::Throttled), 2),
        (of("with \"quotes\"\\", Outcome::Ok), 1),
    ]
    .into();
    gauges.calls.took = [(call("ModifyRule"), (7, Duration::from_millis(1250)))].into();
    gauges
}

#[test]
fn a_run_as_metrics() {
    let page = text(&gauges(), Dialect::OpenMetrics)
        .replace(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), "version=\"VERSION\"");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(page) });
    let samples = |page: &str| page.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text(&gauges(), Dialect::Prometheus)), samples(&text(&gauges(), Dialect::OpenMetrics)));
}
