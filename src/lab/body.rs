//! HTTP response bodies of the lab's servers: complete, streamed, or ended by a connection reset.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;

/// The body of an HTTP response of the lab.
pub type Body = BoxBody<Bytes, ConnectionReset>;

/// An error that makes the server reset the connection, before or during a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset")]
pub struct ConnectionReset;

/// Returns a body that is sent in one piece.
pub fn complete_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}
