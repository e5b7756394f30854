//! Telemetry of a run over sockets: metrics at a port and in a file, and traces.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::terminal::support::Lab;
use crate::terminal::webhook_server::WebhookServer;

/// Sends a GET request; returns the complete HTTP response.
fn get(address: &str, path: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the port should be open");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n")
        .expect("the request should be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the response should be readable");
    answer
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port should exist").to_string()
}

/// Returns the number of weight samples of `b` with this value.
fn weights(page: &str, name: &str, weight: &str) -> usize {
    page.lines()
        .filter(|l| l.starts_with(name) && l.contains("cluster=\"b\"") && l.ends_with(&format!("}} {weight}")))
        .count()
}

#[test]
fn metrics_follow_a_run_at_a_port_and_in_a_file() {
    let lab = Lab::start();
    let address = free_address();
    let mut run = lab.follow(&format!("run plan.yaml --yes --metrics-file run.prom --metrics-listen {address}"));
    run.until_step(3);
    run.until("an observation after the step has started", |r| r["event"] == "waiting");
    let begun = Instant::now();
    let page = loop {
        let page = get(&address, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
        if weights(&page, "cutover_route_weight_read{", "5") == 6 {
            break page;
        }
        assert!(begun.elapsed() < Duration::from_mins(10), "{page}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(
        page.contains("content-type: application/openmetrics-text; version=1.0.0")
            && page.trim_end().ends_with("# EOF"),
        "{page}"
    );
    assert_eq!(weights(&page, "cutover_route_weight_written{", "5"), 6, "{page}");
    for part in [
        "cutover_phase{plan=\"two-terminals\",phase=\"baking\"} 1\n",
        "cutover_step{plan=\"two-terminals\"} 3\n",
        "cutover_waiting{plan=\"two-terminals\",reason=\"bake\"} 1\n",
        "cutover_writes_total{plan=\"two-terminals\",result=\"applied\"} ",
        "operation=\"ModifyRule\",outcome=\"ok\"} ",
        "service=\"kubernetes\",operation=\"patch targetgroupbindings\",outcome=\"ok\"} ",
        "service=\"STS\",operation=\"GetCallerIdentity\",outcome=\"ok\"} ",
        "state=\"healthy\"} ",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(get(&address, "/metrics", "*/*").contains("content-type: text/plain; version=0.0.4"));
    assert!(get(&address, "/", "*/*").starts_with("HTTP/1.1 404"));

    assert_eq!(lab.cutover("rollback two-terminals --yes").code, 0);
    let (code, output) = run.end();
    assert_eq!(code, 4, "{output}");
    assert!(TcpStream::connect(&address).is_err(), "the metrics port must be closed at the end of the run");
    let file = std::fs::read_to_string(lab.folder().join("run.prom")).expect("the file should be readable");
    assert!(
        file.contains("cutover_phase{plan=\"two-terminals\",phase=\"finished\"} 1\n")
            && file.contains("# TYPE cutover_writes_total counter"),
        "{file}"
    );
    assert_eq!(
        (weights(&file, "cutover_route_weight_read{", "0"), weights(&file, "cutover_route_weight_written{", "0")),
        (6, 6),
        "{file}"
    );
    let files = std::fs::read_dir(lab.folder())
        .expect("the folder should be readable")
        .filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().contains("run.prom")));
    assert_eq!(files.count(), 1, "no temporary file may be left next to run.prom");
}

#[test]
fn metrics_that_cannot_be_published_are_reported_and_change_nothing() {
    let mut lab = Lab::start();
    let (taken, url) =
        (TcpListener::bind("127.0.0.1:0").expect("a free port should exist"), format!("http://{}", free_address()));
    lab.add_variable("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    let address = taken.local_addr().expect("the listener should have an address");
    let until = lab.cutover(&format!(
        "run plan.yaml --yes --until first-traffic --metrics-file no/such/folder/x.prom --metrics-listen {address}"
    ));
    assert_eq!(until.code, 8, "{until:?}");
    for part in [
        "metrics cannot be written to no/such/folder/x.prom",
        &format!("metrics cannot be served at {address}"),
        "traces: ",
    ] {
        assert!(until.err.contains(part), "{part}: {until:?}");
    }
    assert_eq!(lab.cutover("rollback two-terminals --yes").code, 0);
}

#[test]
fn a_run_of_several_processes_is_one_trace() {
    let mut lab = Lab::start();
    let (hooks, url) = WebhookServer::start();
    lab.add_variable("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    let until = lab.cutover("run plan.yaml --yes --until first-traffic");
    assert_eq!(until.code, 8, "{until:?}");
    assert_eq!(lab.cutover("rollback two-terminals --yes").code, 0);
    let all = hooks.all("/v1/traces");
    let spans: Vec<&Value> = all
        .iter()
        .flat_map(|r| r["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("the spans should be a list"))
        .collect();
    let by_id: BTreeMap<&str, &Value> =
        spans.iter().map(|s| (s["spanId"].as_str().expect("the id should be a string"), *s)).collect();
    assert_eq!(by_id.len(), spans.len(), "each span must be exported exactly once");
    let name = |span: &Value| span["name"].as_str().expect("the name should be a string").to_owned();
    let path_of = |span: &Value| {
        let mut path = vec![name(span)];
        let mut at = span;
        while let Some(parent) = at["parentSpanId"].as_str() {
            at = by_id.get(parent).unwrap_or_else(|| panic!("the parent of {at} is missing"));
            path.push(name(at));
        }
        path.join(" < ")
    };
    let paths: Vec<String> = spans.iter().map(|s| path_of(s)).collect();
    for wanted in [
        "run two-terminals",
        "step 1 < run two-terminals",
        "write < step 2 < run two-terminals",
        "Elastic Load Balancing v2 ModifyRule < write < step 2 < run two-terminals",
        "kubernetes patch targetgroupbindings < step 1 < run two-terminals",
        "restore < rollback < run two-terminals",
    ] {
        assert!(paths.iter().any(|w| w == wanted), "{wanted}: {paths:#?}");
    }
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|s| s["traceId"].as_str()).collect();
    assert_eq!(traces.len(), 1);
}
