//! Metrics and traces, read by the parsers of Prometheus and OpenTelemetry.

use cutover::adapter::telemetry::MetricsFormat;
use cutover::adapter::telemetry::otlp::Collector;
use cutover::app::telemetry::metrics::text;
use cutover::domain::view::trace::{Span, Trace};
use serde_json::Value;

use crate::programs::{python, script};
use crate::telemetry::{records, run_metrics};

fn parse_with(what: &str, input: &str) -> Value {
    serde_json::from_slice(&script(&python(), "tests/support/telemetry.py", &[what], input))
        .expect("the text should be JSON")
}

#[test]
#[ignore = "tier contract"]
fn python_reads_both_metric_formats() {
    let read = parse_with("openmetrics", &text(&run_metrics(), MetricsFormat::OpenMetrics));
    let kind = |read: &Value, name: &str| read[name][0].as_str().unwrap_or_default().to_owned();
    let kinds = ["cutover_run", "cutover_step", "cutover_waited_seconds", "cutover_api_call_duration_seconds"]
        .map(|n| kind(&read, n));
    assert_eq!(kinds, ["info", "gauge", "counter", "summary"], "{read}");
    let calls = read["cutover_api_calls"][1].as_array().expect("the samples should be a list");
    assert!(calls.iter().any(|c| c[1]["operation"] == "with \"quotes\"\\" && c[2] == 1.0), "{calls:?}");
    let older = parse_with("prometheus", &text(&run_metrics(), MetricsFormat::Prometheus));
    assert_eq!(
        (kind(&older, "cutover_api_calls"), kind(&older, "cutover_run_info")),
        ("counter".into(), "gauge".into()),
        "{older}"
    );
    let unknown: Vec<_> = older
        .as_object()
        .expect("the metric families should be an object")
        .iter()
        .filter(|(_, f)| f[0] == "unknown")
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
#[ignore = "tier contract"]
fn python_reads_the_traces() {
    let mut trace = Trace::default();
    let spans: Vec<Span> = records().iter().flat_map(|r| trace.add(r)).collect();
    let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:4318".to_owned());
    let request = Collector::of(endpoint)
        .expect("the endpoint should be valid")
        .expect("the collector should be configured")
        .request(&spans);
    let read = parse_with("otlp", &request.to_string());
    assert_eq!(read["resource"]["service.name"], "cutover");
    let read = read["spans"].as_array().expect("the spans should be a list");
    assert_eq!(read.len(), spans.len());
    let root = read.iter().find(|s| s[1] == "").expect("a root span should exist");
    assert!(root[0].as_str().is_some_and(|n| n.starts_with("run ")) && root[3] == 16, "{root}");
    let ids: Vec<_> = read.iter().map(|s| &s[2]).collect();
    assert!(
        read.iter().all(|s| s[1] == "" || ids.contains(&&s[1])) && read.iter().any(|s| s[0] == "write"),
        "{read:#?}"
    );
}
