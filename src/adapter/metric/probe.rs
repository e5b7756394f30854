//! A metric source that sends an HTTP request and checks the response. A request without a response is a failed probe,
//! not an unreadable source.

use std::time::Instant;

use http::HeaderMap;

use super::clipped;
use super::fill::fill;
use super::web::{HttpClient, HttpRequest};
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::plan::model::metric::Http;

/// Sends the probe and returns the measured value.
pub async fn measure(
    web: &HttpClient,
    source: &Http,
    more_headers: HeaderMap,
    measurement: &MeasurementRequest,
) -> MeasuredValue {
    let url = fill(&source.url, measurement, &measurement.new.cluster);
    let started_at = Instant::now();
    let (well, message) = match web
        .send(HttpRequest {
            counted_as: Some(("http", "probe")),
            url: &url,
            post: None,
            headers: &source.headers,
            more_headers,
            timeout: source.timeout,
        })
        .await
    {
        Err(why) => (false, why),
        Ok((status, _)) if status.as_u16() != source.status => {
            (false, format!("the status is {}, but {} is expected", status.as_u16(), source.status))
        }
        Ok((_, body)) if !source.body.as_ref().is_none_or(|wanted| String::from_utf8_lossy(&body).contains(wanted)) => {
            (false, format!("the status is {}, but the body does not contain the expected text", source.status))
        }
        Ok((status, _)) => {
            (true, format!("responded with status {} within {} ms", status.as_u16(), started_at.elapsed().as_millis()))
        }
    };
    MeasuredValue::State { well, message: clipped(&message) }
}
