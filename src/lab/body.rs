//! HTTP response bodies of the lab's servers: complete, streamed, or ended by a connection reset.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;

/// A response's body.
pub type Body = BoxBody<Bytes, ConnectionReset>;

/// The error of a body or handler that resets the connection, before or during an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset")]
pub struct ConnectionReset;

/// A complete body.
pub fn complete_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}
