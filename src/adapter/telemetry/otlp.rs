//! Sends traces to an OpenTelemetry collector: OTLP over HTTP in JSON, configured by the standard `OTEL_…` variables.
//!
//! The format is small and stable (opentelemetry-proto 1.x) and needs no client library. Do not build spans here.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};

use crate::adapter::http::{Deliver, DeliveryError, DeliveryQueue, QueueLimits};
use crate::adapter::metric::{HttpClient, HttpRequest};
use crate::base::redact;
use crate::base::text::hex;
use crate::domain::view::trace::{Attributes, Span, Value};

/// The limits of the queue and of one request.
pub const QUEUE_LIMITS: QueueLimits = QueueLimits { queue: 4096, at_once: 512, gather: Duration::from_secs(2) };

/// A collector of traces, with the settings of its requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Collector {
    url: String,
    headers: HeaderMap,
    timeout: Duration,
    resource: Vec<(String, String)>,
}

impl Collector {
    /// Reads the collector's settings from the environment; `None` if no traces are sent. The error is for the log.
    ///
    /// # Errors
    /// Fails if a setting is not supported by this build.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let given = |name: &str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let either = |name: &str| {
            given(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| given(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let off = given("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let other_exporter = given("OTEL_TRACES_EXPORTER").is_some_and(|v| !v.split(',').any(|e| e.trim() == "otlp"));
        let traces_endpoint = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let base = given("OTEL_EXPORTER_OTLP_ENDPOINT").map(|u| format!("{}/v1/traces", u.trim_end_matches('/')));
        let Some(url) = traces_endpoint.or(base).filter(|_| !off && !other_exporter) else { return Ok(None) };
        if either("PROTOCOL").is_some_and(|p| p == "grpc") {
            return Err(
                "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but only http/json is supported (port 4318 of most collectors)"
                    .into(),
            );
        }
        let millis = either("TIMEOUT").and_then(|t| t.parse().ok()).unwrap_or(10_000);
        let mut resource = parse_pairs(&given("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let name = given("OTEL_SERVICE_NAME")
            .or_else(|| resource.iter().find(|(k, _)| k == "service.name").map(|(_, v)| v.clone()));
        resource.retain(|(k, _)| k != "service.name" && k != "service.version");
        resource.push(("service.name".into(), name.unwrap_or_else(|| "cutover".into())));
        resource.push(("service.version".into(), env!("CARGO_PKG_VERSION").into()));
        Ok(Some(Self {
            url,
            headers: headers(&either("HEADERS").unwrap_or_default())?,
            timeout: Duration::from_millis(millis),
            resource,
        }))
    }

    /// Starts to deliver spans to the collector.
    pub fn delivery_queue(self, limits: QueueLimits) -> DeliveryQueue<Span> {
        DeliveryQueue::new("traces".into(), limits, CollectorTarget { collector: self, web: HttpClient::default() })
    }

    /// Builds the body of a request with these spans.
    pub fn request(&self, spans: &[Span]) -> Json {
        let resource: Vec<_> =
            self.resource.iter().map(|(k, v)| json!({"key": k, "value": {"stringValue": v}})).collect();
        let scope = json!({"name": "cutover", "version": env!("CARGO_PKG_VERSION")});
        let spans: Vec<_> = spans.iter().map(span).collect();
        json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": spans}]}]})
    }
}

/// Parses percent-encoded pairs such as `a=b,c=d`.
fn parse_pairs(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.trim().to_owned(), percent_decode(v.trim())))
        .collect()
}

fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Parses headers. An error does not contain the values of headers.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut all = HeaderMap::new();
    for (name, value) in parse_pairs(text) {
        let wrong =
            |_| format!("OTEL_EXPORTER_OTLP_HEADERS: the name or the value of the header `{name}` is not valid");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let mut value = HeaderValue::from_str(&value).map_err(|e| wrong(e.to_string()))?;
        value.set_sensitive(true);
        value.to_str().unwrap_or_default().split_whitespace().for_each(redact::remember);
        all.insert(key, value);
    }
    Ok(all)
}

fn span(span: &Span) -> Json {
    let mut json = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": if span.client { 3 } else { 1 },
        "startTimeUnixNano": nanos(span.start),
        "endTimeUnixNano": nanos(span.end),
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(|(time, name, more)| json!({"timeUnixNano": nanos(*time), "name": name, "attributes": attributes(more)})).collect::<Vec<_>>(),
        "status": span.error.as_ref().map_or_else(|| json!({}), |why| json!({"code": 2, "message": redact::clean(why)})),
    });
    if let Some(parent) = &span.parent {
        json["parentSpanId"] = hex(parent).into();
    }
    json
}

fn attributes(all: &Attributes) -> Vec<Json> {
    let value = |value: &Value| match value {
        Value::Text(text) => json!({"stringValue": redact::clean(text)}),
        // OTLP encodes 64-bit numbers as strings.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Flag(flag) => json!({"boolValue": flag}),
    };
    all.iter().map(|(key, v)| json!({"key": key, "value": value(v)})).collect()
}

fn nanos(time: Timestamp) -> String {
    time.as_nanosecond().max(0).to_string()
}

struct CollectorTarget {
    collector: Collector,
    web: HttpClient,
}

#[async_trait]
impl Deliver<Span> for CollectorTarget {
    async fn deliver(&self, spans: &[Span]) -> Result<(), DeliveryError> {
        let Collector { url, headers, timeout, .. } = &self.collector;
        let body = self.collector.request(spans).to_string();
        let request = HttpRequest {
            counted_as: None,
            url,
            post: Some(("application/json", body)),
            headers: &[],
            more_headers: headers.clone(),
            timeout: *timeout,
        };
        let (status, answer) = self.web.send(request).await.map_err(DeliveryError::Temporary)?;
        let why = format!("the collector responded with status {}", status.as_u16());
        match status {
            _ if status.is_success() => rejected_spans(&answer)
                .map_or(Ok(()), |n| Err(DeliveryError::Permanent(format!("the collector rejected {n} spans")))),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(DeliveryError::Temporary(why)),
            _ => Err(DeliveryError::Permanent(why)),
        }
    }
}

/// Returns the number of spans that the collector rejected; `None` if the response contains no such number.
fn rejected_spans(answer: &[u8]) -> Option<u64> {
    let answer: Json = serde_json::from_slice(answer).ok()?;
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector_from(variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
        Collector::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn collector_settings_come_from_the_environment() {
        assert_eq!(collector_from(&[]), Ok(None));
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        assert_eq!(
            collector_from(&[base]).expect("valid settings").expect("a collector").url,
            "http://c:4318/v1/traces"
        );
        let own = [base, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/x")];
        assert_eq!(collector_from(&own).expect("valid settings").expect("a collector").url, "http://d/x");
        assert_eq!(collector_from(&[base, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(collector_from(&[base, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        assert!(
            collector_from(&[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_err_and(|e| e.contains("http/json"))
        );
        let more = [
            base,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x=1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=shop,service.name=ignored"),
            ("OTEL_SERVICE_NAME", "moves"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ];
        let collector = collector_from(&more).expect("valid settings").expect("a collector");
        assert_eq!(
            (&collector.headers["authorization"], collector.timeout),
            (&HeaderValue::from_static("Bearer abc"), Duration::from_millis(250))
        );
        assert_eq!(collector.resource[..2], [("team".into(), "shop".into()), ("service.name".into(), "moves".into())]);
        assert!(!format!("{collector:?}").contains("abc"), "debug output must not contain the value of a header");
        let wrong = collector_from(&[base, ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret")])
            .expect_err("the header name must be refused");
        assert!(!wrong.contains("s3cret"), "{wrong}");
    }
}
