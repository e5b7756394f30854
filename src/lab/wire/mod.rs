//! The API protocols of the lab, as functions from request to response. State must not be added here; it belongs to the
//! model.

pub(crate) mod cloudwatch;
pub(crate) mod ec2;
pub(crate) mod eks;
mod eks_platform;
pub(crate) mod elbv2;
pub(crate) mod haproxy;
pub(crate) mod iam;
pub mod kube;
pub(crate) mod query;
pub(crate) mod sts;
pub(crate) mod xml;

use http::{HeaderValue, Response, StatusCode};
use hyper::body::Bytes;

/// Builds a complete AWS response with its request ID.
fn text(status: u16, content_type: &'static str, body: String, id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
