//! A value with the time of its reading, or the reason why it could not be read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A value with the time at which it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading<T> {
    /// When the reading was requested (earlier than the answer, so the safer time).
    pub at: Timestamp,
    /// The value, or why it could not be read.
    pub value: Result<T, Unreadable>,
}

/// Why something could not be read. It never causes a raise or a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum Unreadable {
    /// The API throttled the call.
    #[error("throttled")]
    Throttled,
    /// Credentials are missing, expired or invalid.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The caller lacks a permission.
    #[error("access denied: {0}")]
    Denied(String),
    /// It does not exist, or no longer.
    #[error("not found: {0}")]
    NotFound(String),
    /// An element that this build cannot represent, named by its path.
    #[error("{0}")]
    Unrepresentable(String),
    /// The network setup of this machine prevents it, such as an untrusted certificate: another try does not help.
    #[error("{0}")]
    Setup(String),
    /// Network error, time-out, 5xx, malformed answer.
    #[error("{0}")]
    Unavailable(String),
}
