//! Metrics and traces as others read them: the page, word by word, and what the parsers of Prometheus and OpenTelemetry make of it.
//!
//! `python_…` needs the virtual environment, `prometheus_…` promtool beside `$CUTOVER_PROMETHEUS`.

#[path = "support/moto.rs"]
#[allow(dead_code)]
mod moto;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use cutover::adapter::calls::Outcome;
use cutover::adapter::telemetry::Collector;
use cutover::cli::render::metrics::{Dialect, Gauges, text};
use cutover::domain::health::Counts;
use cutover::domain::metric::verdict::judge::Call;
use cutover::domain::run::event::{Record, WaitReason};
use cutover::domain::run::journal;
use cutover::domain::run::state::State;
use cutover::domain::view::trace::{Span, Trace};
use serde_json::Value;

fn records() -> Vec<Record> {
    journal::parse(&std::fs::read("tests/journals/v1.jsonl").expect("a recorded journal")).expect("it parses").records
}

/// A run in the middle, with something in every family.
fn gauges() -> Gauges {
    let records = records();
    let state = State::fold(&records[..records.len() / 2]).expect("legal").expect("a state");
    let plan = cutover::plan::parse("v1", state.started.text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let mut gauges = Gauges::new(&plan, state);
    let group = gauges.state.started.groups.keys().next().expect("a group").clone();
    gauges.health.insert(group, Counts { healthy: 4, draining: 1, ..Counts::default() });
    gauges.state.gates.insert("errors".into(), (Vec::new(), Some(Call::Hold)));
    gauges.look = Some(gauges.state.last);
    gauges.waits = vec![WaitReason::Bake];
    gauges.waited = [(WaitReason::Bake, 61.5), (WaitReason::RaiseGate, 3.0)].into();
    gauges.writes = [("applied", 6), ("unknown", 1)].into();
    let call = |operation: &str| ("Elastic Load Balancing v2".to_owned(), operation.to_owned());
    let of = |operation: &str, outcome| (call(operation).0, call(operation).1, outcome);
    gauges.calls.calls =
        [(of("ModifyRule", Outcome::Ok), 5), (of("ModifyRule", Outcome::Throttled), 2), (of("with \"quotes\"\\", Outcome::Ok), 1)].into();
    gauges.calls.took = [(call("ModifyRule"), (7, Duration::from_millis(1250)))].into();
    gauges
}

#[test]
fn a_run_as_metrics() {
    let page = text(&gauges(), Dialect::OpenMetrics).replace(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), "version=\"VERSION\"");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(page) });
    let samples = |page: &str| page.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text(&gauges(), Dialect::Prometheus)), samples(&text(&gauges(), Dialect::OpenMetrics)));
}

fn python(what: &str, input: &str) -> Option<Value> {
    let python = moto::python()?;
    Some(serde_json::from_slice(&moto::script(&python, "tests/telemetry.py", &[what], input)).expect("JSON"))
}

#[test]
fn python_reads_the_metrics_in_both_dialects() {
    let Some(read) = python("openmetrics", &text(&gauges(), Dialect::OpenMetrics)) else { return };
    let kind = |read: &Value, name: &str| read[name][0].as_str().unwrap_or_default().to_owned();
    let kinds = ["cutover_run", "cutover_step", "cutover_waited_seconds", "cutover_api_call_duration_seconds"].map(|n| kind(&read, n));
    assert_eq!(kinds, ["info", "gauge", "counter", "summary"], "{read}");
    let calls = read["cutover_api_calls"][1].as_array().expect("samples");
    assert!(calls.iter().any(|c| c[1]["operation"] == "with \"quotes\"\\" && c[2] == 1.0), "{calls:?}");
    let older = python("prometheus", &text(&gauges(), Dialect::Prometheus)).expect("the same Python");
    assert_eq!((kind(&older, "cutover_api_calls"), kind(&older, "cutover_run_info")), ("counter".into(), "gauge".into()), "{older}");
    let unknown: Vec<_> = older.as_object().expect("families").iter().filter(|(_, f)| f[0] == "unknown").collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn prometheus_promtool_finds_nothing_wrong_with_the_metrics() {
    let Some(prometheus) = std::env::var_os("CUTOVER_PROMETHEUS") else { return };
    let mut command = Command::new(PathBuf::from(prometheus).with_file_name("promtool"));
    let mut child = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool runs");
    child.stdin.take().expect("its stdin").write_all(text(&gauges(), Dialect::Prometheus).as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn python_reads_the_traces() {
    let mut trace = Trace::default();
    let spans: Vec<Span> = records().iter().flat_map(|r| trace.take(r)).collect();
    let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:4318".to_owned());
    let request = Collector::of(endpoint).expect("fine").expect("a collector").request(&spans);
    let Some(read) = python("otlp", &request.to_string()) else { return };
    assert_eq!(read["resource"]["service.name"], "cutover");
    let read = read["spans"].as_array().expect("spans");
    assert_eq!(read.len(), spans.len());
    let root = read.iter().find(|s| s[1] == "").expect("a root");
    assert!(root[0].as_str().is_some_and(|n| n.starts_with("run ")) && root[3] == 16, "{root}");
    let ids: Vec<_> = read.iter().map(|s| &s[2]).collect();
    assert!(read.iter().all(|s| s[1] == "" || ids.contains(&&s[1])) && read.iter().any(|s| s[0] == "write"), "{read:#?}");
}
