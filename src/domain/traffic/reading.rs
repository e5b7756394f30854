//! Represents the result of a read: a value with the time, or the reason why the value could not be read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The result of a read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading<T> {
    /// The time at which the read was requested. It is earlier than the response, and therefore the safer time.
    pub at: Timestamp,
    /// The value, or why it could not be read.
    pub value: Result<T, Unreadable>,
}

/// Why a resource could not be read. A failed read never causes an increase of a share or a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum Unreadable {
    /// The API throttled the call.
    #[error("throttled")]
    Throttled,
    /// The credentials are missing, expired or invalid.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The caller lacks a permission.
    #[error("access denied: {0}")]
    Denied(String),
    /// The resource does not exist, or no longer exists.
    #[error("not found: {0}")]
    NotFound(String),
    /// The resource has an element that this build cannot represent. The text names the path of the element.
    #[error("{0}")]
    Unrepresentable(String),
    /// The network setup of this machine prevents the read, such as an untrusted certificate. A retry does not help.
    #[error("{0}")]
    Setup(String),
    /// The read failed temporarily: network error, time-out, status 5xx, or malformed response.
    #[error("{0}")]
    Unavailable(String),
}
