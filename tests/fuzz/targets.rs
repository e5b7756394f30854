//! The fuzz targets: functions that take bytes from outside, and assert what must hold for any bytes.
//! `tests/pure/corpus.rs` replays the corpora with `cargo test`.

#![allow(dead_code)] // each fuzz program uses one of these functions

use std::collections::BTreeMap;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::kubernetes::K8s;
use cutover::domain::elb;
use cutover::domain::emergency::{balancer_tag, route_tag, script};
use cutover::domain::run::journal;
use cutover::domain::run::state::State;
use cutover::domain::traffic::RouteId;
use cutover::domain::view::check::CheckReport;
use cutover::plan::model::{MarkerMode, PortRef, Selector, ServiceRef};
use cutover::port::store::{RunSummary, emergency_command};
use cutover::port::{Cluster, Detail, Groups, Inventory, TagStore, Traffic};
use sha2::{Digest, Sha256};

/// Lints a plan file: the plan is read or refused with a message, and an accepted plan reads the same a second time.
pub fn plan(bytes: &[u8]) {
    match cutover::plan::lint("plan.yaml", bytes) {
        Ok(plan) => {
            let again = cutover::plan::lint("plan.yaml", plan.text.as_bytes());
            assert_eq!(again.as_ref().ok(), Some(&plan));
            let report = CheckReport::offline(&plan, Vec::new());
            assert_eq!(report.steps.len(), plan.strategy.steps.len());
        }
        Err(wrong) => {
            let message = cutover::plan::render(&wrong, false);
            assert!(!message.trim().is_empty(), "a refusal must have a message");
        }
    }
}

/// Parses a journal: the accepted records must be a prefix of the journal, to the byte. After a first line `sums`, the
/// checksums of the other lines are computed, so that the fuzzer reaches the code behind the checksum test.
pub fn journal(bytes: &[u8]) {
    let summed = bytes.strip_prefix(b"sums\n").map(with_sums);
    let bytes = summed.as_deref().unwrap_or(bytes);
    let (records, kept) = match journal::parse(bytes) {
        Ok(parsed) => (parsed.records, Some(parsed.valid_bytes)),
        Err(corrupt) => {
            assert!(!corrupt.to_string().is_empty() && corrupt.line == corrupt.prefix.len() + 1);
            (corrupt.prefix, None)
        }
    };
    if let Some(kept) = kept {
        assert!(kept <= bytes.len());
        let again = journal::parse(&bytes[..kept]).expect("the accepted bytes should be a valid journal");
        assert_eq!(again.records, records);
    }
    assert!(records.iter().enumerate().all(|(n, r)| r.seq == n as u64 + 1));
    let Ok(Some(state)) = State::fold(&records) else { return };
    assert_eq!(state.run, records[0].run);
    let _ = RunSummary::of(&state.run, &records);
    let _ = emergency_command(&records);
    let _ = script::script(&state.run, &state.started, MarkerMode::Tag, state.started_at);
    for route in &state.started.routes {
        if let Some(text) = route_tag::value(&state.run, &state.started, route) {
            assert!(text.len() <= 256 && route_tag::read(&text).is_some_and(|kept| kept.run == state.run), "{text}");
        }
    }
}

/// Returns the lines with the checksums that a writer would have added.
fn with_sums(lines: &[u8]) -> Vec<u8> {
    let (mut out, mut sum) = (Vec::new(), String::new());
    for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let digest = Sha256::digest([sum.as_bytes(), line].concat());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        sum = format!("{number:016x}");
        out.extend_from_slice(&line[..line.len() - 1]);
        out.extend_from_slice(format!(",\"sum\":\"{sum}\"}}\n").as_bytes());
    }
    out
}

/// Parses a response of AWS or of a Kubernetes API, with `aws 200` or `kube 404` in the first line, or a tag's value
/// after `tag`: the response is read or refused, and nothing panics.
pub fn wire(bytes: &[u8]) {
    let (head, body) = bytes.split_at(bytes.iter().position(|b| *b == b'\n').map_or(0, |end| end + 1));
    let head = String::from_utf8_lossy(head);
    let (kind, status) = head.trim_end().split_once(' ').unwrap_or((head.trim_end(), ""));
    let status = status.parse().ok().filter(|s| (200..600).contains(s)).unwrap_or(200);
    match kind {
        "tag" => parse_tag(&String::from_utf8_lossy(body)),
        "kube" => on_paused_clock(call_kubernetes(status, body.to_vec())),
        _ => on_paused_clock(call_elbv2(status, body.to_vec())),
    }
}

/// Runs the calls on a paused clock, so that retries need no time.
fn on_paused_clock(answers: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("the Tokio runtime should start").block_on(answers);
}

fn parse_tag(value: &str) {
    if let Some(kept) = route_tag::read(value) {
        assert!(kept.groups.iter().any(route_tag::TaggedGroup::carries));
    }
    let _ = balancer_tag::read(value);
}

/// Makes every call of the load balancer adapter, with this response to each request.
async fn call_elbv2(status: u16, body: Vec<u8>) {
    let settings = aws::Settings {
        region: Some("us-east-1".into()),
        credentials: Some(Credentials::new("key", "secret", None, None, "fuzz")),
        http_client: Some(SharedHttpClient::new(FixedResponse { status, body })),
        ..aws::Settings::default()
    };
    let alb = Alb::with_speed(&aws::config(&settings).await, 300.0);
    let lb = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/0123456789abcdef";
    let listener =
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/web/0123456789abcdef/0123456789abcdef";
    let rule = format!("{}/0123456789abcdef", listener.replace(":listener/", ":listener-rule/"));
    let _ = alb.caller().await;
    let _ = alb.load_balancers(&Selector::Name("web".into()), Detail::Full).await;
    let _ = alb.load_balancers(&Selector::Tags(BTreeMap::new()), Detail::Listed).await;
    let _ = alb.listeners(lb, Detail::Full).await;
    let rule = RouteId::rule(rule);
    let requested = [RouteId::default_route(listener), rule.clone()];
    assert!(
        alb.routes(&requested).await.keys().all(|id| requested.contains(id)),
        "only requested routes may be returned"
    );
    let _ = alb.target_groups(Groups::Of(lb), Detail::Full).await;
    let _ = alb
        .health(&["arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0123456789abcdef".to_owned()])
        .await;
    let _ = alb.tags(&[lb.to_owned()]).await;
    let _ = alb.set(&rule, &elb::content(&[]), Duration::from_secs(1)).await;
    let _ = alb.remove(&[lb.to_owned()], &["key".to_owned()]).await;
}

/// Makes every call of the cluster adapter, with this response to each request.
async fn call_kubernetes(status: u16, body: Vec<u8>) {
    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        let response = http::Response::builder().status(status).header("content-type", "application/json");
        std::future::ready(response.body(kube::client::Body::from(body.clone())))
    });
    let cluster = K8s::new(kube::Client::new(service, "default"));
    let _ = cluster.identity().await;
    let _ = cluster.bindings().await;
    let service = ServiceRef { namespace: "shop".into(), name: "shop".into(), port: PortRef::Number(80) };
    let _ = cluster.workloads(&[&service]).await;
}

/// An HTTP client that gives the same response to every request.
#[derive(Debug, Clone)]
struct FixedResponse {
    status: u16,
    body: Vec<u8>,
}

impl HttpConnector for FixedResponse {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let response = http::Response::builder().status(self.status).body(SdkBody::from(self.body.clone()));
        let response = response.map_err(|e| ConnectorError::other(e.into(), None));
        let read =
            |r: http::Response<SdkBody>| HttpResponse::try_from(r).map_err(|e| ConnectorError::other(e.into(), None));
        HttpConnectorFuture::ready(response.and_then(read))
    }
}

impl HttpClient for FixedResponse {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
