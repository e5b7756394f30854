//! A metric source that uses the HTTP API of Prometheus: instant queries at the end of the measured window.

use futures::future::join;
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::fill::fill;
use super::web::{HttpClient, HttpRequest};
use super::{clipped, unreadable};
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::domain::metric::verdict::RequestCount;
use crate::plan::model::metric::{GateCondition, Prometheus};

const FORM_MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// Runs the queries and returns the measured value.
pub async fn measure(web: &HttpClient, source: &Prometheus, measurement: &MeasurementRequest) -> MeasuredValue {
    let seen = match measurement.gate.condition {
        GateCondition::ErrorRate(_) | GateCondition::Share { .. } => request_counts(web, source, measurement).await,
        GateCondition::Latency(_) => latencies(web, source, measurement).await,
        GateCondition::Condition { .. } | GateCondition::State => {
            let cluster = &measurement.new.cluster;
            value(web, source, measurement, cluster, source.query.as_deref()).await.map(|found| match found {
                Some(value) => MeasuredValue::Value { value },
                None => no_data(cluster),
            })
        }
    };
    seen.unwrap_or_else(unreadable)
}

async fn request_counts(
    web: &HttpClient,
    source: &Prometheus,
    measurement: &MeasurementRequest,
) -> Result<MeasuredValue, String> {
    let side = async |cluster: &str| {
        let requests = value(web, source, measurement, cluster, source.requests.as_deref());
        let errors = async {
            match &source.errors {
                Some(query) if !matches!(measurement.gate.condition, GateCondition::Share { .. }) => {
                    value(web, source, measurement, cluster, Some(query)).await
                }
                _ => Ok(None),
            }
        };
        let (requests, errors) = join(requests, errors).await;
        let requests = to_count(requests?);
        // Without errors, the series of errors does not exist.
        Ok::<_, String>(requests.map(|requests| RequestCount {
            requests,
            errors: to_count(errors.ok().flatten()).unwrap_or(0).min(requests),
        }))
    };
    let (old, new) = join(side(&measurement.old.cluster), side(&measurement.new.cluster)).await;
    Ok(match (old?, new?) {
        // A cluster without data may have no traffic. Then there is nothing to compare.
        (None, None) => no_data("either cluster"),
        (_, None) => no_data(&measurement.new.cluster),
        (old, Some(new)) => MeasuredValue::Counts { old: old.unwrap_or_default(), new },
    })
}

async fn latencies(
    web: &HttpClient,
    source: &Prometheus,
    measurement: &MeasurementRequest,
) -> Result<MeasuredValue, String> {
    let side = |cluster| value(web, source, measurement, cluster, source.latency.as_deref());
    let (old, new) = join(side(&measurement.old.cluster), side(&measurement.new.cluster)).await;
    Ok(match (old?, new?) {
        (Some(old), Some(new)) => MeasuredValue::Latencies { old, new },
        (None, _) => no_data(&measurement.old.cluster),
        _ => no_data(&measurement.new.cluster),
    })
}

fn no_data(of: &str) -> MeasuredValue {
    MeasuredValue::Nothing { message: format!("the query returned no data for {of}") }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped; an extrapolated rate is not a whole number
fn to_count(value: Option<f64>) -> Option<u64> {
    value.map(|v| v.round().clamp(0.0, 1e15) as u64)
}

/// Runs a query. Returns the number in the response; `None` if there is no data.
async fn value(
    web: &HttpClient,
    source: &Prometheus,
    measurement: &MeasurementRequest,
    cluster: &str,
    query: Option<&str>,
) -> Result<Option<f64>, String> {
    let query = fill(query.unwrap_or_default(), measurement, cluster);
    let url = format!("{}/api/v1/query", fill(&source.address, measurement, cluster));
    let form = format!(
        "query={}&time={}.{:03}",
        percent_encode(&query),
        measurement.to.as_second(),
        measurement.to.subsec_millisecond()
    );
    let (status, body) = web
        .send(HttpRequest {
            counted_as: Some(("prometheus", "query")),
            url: &url,
            post: Some((FORM_MEDIA_TYPE, form)),
            headers: &source.headers,
            more_headers: HeaderMap::new(),
            timeout: source.timeout,
        })
        .await?;
    let Ok(answer) = serde_json::from_slice::<Value>(&body) else {
        return Err(format!("{url} responded with {status}, but the response is not JSON"));
    };
    number_in(&answer).map_err(|why| format!("{status}: {why}"))
}

/// Returns the number in a response; `None` if there is no data.
fn number_in(answer: &Value) -> Result<Option<f64>, String> {
    if answer["status"] != "success" {
        return Err(clipped(
            answer["error"].as_str().unwrap_or("the response of Prometheus has neither success nor an error"),
        ));
    }
    let data = &answer["data"];
    let pair = match data["resultType"].as_str() {
        Some("scalar") => &data["result"],
        Some("vector") => match data["result"].as_array().map(Vec::as_slice) {
            Some([]) => return Ok(None),
            Some([one]) => &one["value"],
            Some(many) => {
                return Err(format!(
                    "the query returned {} series instead of one: aggregate them, for example with sum()",
                    many.len()
                ));
            }
            None => return Err("the response from Prometheus contains no result".into()),
        },
        other => return Err(format!("the query returned a {} instead of one number", other.unwrap_or("nothing"))),
    };
    let number = pair[1]
        .as_str()
        .and_then(|text| text.parse::<f64>().ok())
        .ok_or("the response from Prometheus contains no number")?;
    // NaN is zero divided by zero, so there is no data.
    Ok((!number.is_nan()).then_some(number))
}

/// The characters that must be percent-encoded: all except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn response_is_one_number_or_no_data_or_an_error() {
        let vector = |result: Value| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
        assert_eq!(number_in(&vector(json!([{"metric": {}, "value": [1, "2.5"]}]))), Ok(Some(2.5)));
        assert_eq!(number_in(&vector(json!([]))), Ok(None));
        assert_eq!(number_in(&vector(json!([{"metric": {}, "value": [1, "NaN"]}]))), Ok(None));
        assert!(
            number_in(&vector(json!([{"value": [1, "1"]}, {"value": [1, "1"]}])))
                .is_err_and(|e| e.contains("2 series"))
        );
        assert_eq!(
            number_in(&json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}})),
            Ok(Some(3.0))
        );
        assert_eq!(number_in(&json!({"status": "error", "error": "parse error"})), Err("parse error".into()));
        assert!(number_in(&json!({})).is_err());
        assert_eq!(percent_encode("a{b=\"c d\"}"), "a%7Bb%3D%22c%20d%22%7D");
    }
}
