//! Instant queries of the HTTP API of Prometheus, over the lab's counters, so that the metric gates of a plan can be
//! tried in the lab without a change.
//!
//! A crate parses the queries. The lab evaluates a subset of PromQL; every other query gets an error that names the
//! missing part. Do not add storage or scraping here.

mod eval;
mod series;
#[cfg(test)]
mod tests;

use http::{Response, StatusCode, header};
use hyper::body::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};

use super::model::World;
use eval::{Evaluation, Value};

/// The path of instant queries.
pub const PATH: &str = "/api/v1/query";

/// An instant query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstantQuery {
    /// The expression.
    pub query: String,
    /// The time of the evaluation; `None` means now.
    pub time: Option<Timestamp>,
}

impl InstantQuery {
    /// Reads the parameters from a form or a query string.
    pub fn from_form(form: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in form.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            match name {
                "query" => read.query = value,
                "time" => read.time = time(&value),
                _ => {}
            }
        }
        read
    }
}

/// Reads seconds since 1970, or a time of RFC 3339.
fn time(text: &str) -> Option<Timestamp> {
    #[allow(clippy::cast_possible_truncation)] // milliseconds of this century
    let millis = |seconds: f64| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok();
    text.parse::<f64>().ok().and_then(millis).or_else(|| text.parse().ok())
}

/// Evaluates a query at a time of the lab, and returns the response.
pub fn respond(world: &World, query: &str, at: Timestamp) -> Response<Bytes> {
    let (status, body) = match evaluate(world, query, at) {
        Ok(value) => (StatusCode::OK, json!({"status": "success", "data": data(&value, at)})),
        Err(error) => (StatusCode::BAD_REQUEST, json!({"status": "error", "errorType": "bad_data", "error": error})),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn evaluate(world: &World, query: &str, at: Timestamp) -> Result<Value, String> {
    let expression = promql_parser::parser::parse(query)?;
    Evaluation { world, at }.value(&expression)
}

fn data(value: &Value, at: Timestamp) -> Json {
    #[allow(clippy::cast_precision_loss)] // milliseconds of this century
    let seconds = at.as_millisecond() as f64 / 1000.0;
    let sample = |number: f64| json!([seconds, text(number)]);
    match value {
        Value::Scalar(number) => json!({"resultType": "scalar", "result": sample(*number)}),
        Value::Vector(all) => {
            let result = all.iter().map(|one| json!({"metric": one.labels, "value": sample(one.value)}));
            json!({"resultType": "vector", "result": result.collect::<Vec<_>>()})
        }
    }
}

/// Formats a number as Prometheus does.
fn text(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.into(),
        n => n.to_string(),
    }
}
