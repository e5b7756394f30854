//! A gate source that sends an HTTP request: whether the answer is as expected, or why not. A request without an answer
//! is a failed probe, not an unreadable one.

use std::time::Instant;

use http::HeaderMap;

use super::clipped;
use super::fill::fill;
use super::web::{HttpClient, HttpRequest};
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::plan::model::metric::Http;

/// Sends the probe and returns its observation.
pub async fn ask(web: &HttpClient, source: &Http, question: &MeasurementRequest) -> MeasuredValue {
    let url = fill(&source.url, question, &question.new.cluster);
    let begun = Instant::now();
    let (well, message) = match web
        .ask(HttpRequest {
            of: Some(("http", "probe")),
            url: &url,
            post: None,
            headers: &source.headers,
            more: HeaderMap::new(),
            timeout: source.timeout,
        })
        .await
    {
        Err(why) => (false, why),
        Ok((status, _)) if status.as_u16() != source.status => {
            (false, format!("it answers {}, and {} is expected", status.as_u16(), source.status))
        }
        Ok((_, body)) if !source.body.as_ref().is_none_or(|wanted| String::from_utf8_lossy(&body).contains(wanted)) => {
            (false, format!("it answers {}, but not with the body that is expected", source.status))
        }
        Ok((status, _)) => (true, format!("it answers {} within {} ms", status.as_u16(), begun.elapsed().as_millis())),
    };
    MeasuredValue::State { well, message: clipped(&message) }
}
