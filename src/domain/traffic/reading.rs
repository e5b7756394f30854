//! What was read, and when, or why it could not be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A value with the time at which it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading<T> {
    /// When the answer was asked for (the earlier, safer end).
    pub at: Timestamp,
    /// What was read, or why not.
    pub value: Result<T, Unreadable>,
}

/// Why something could not be read. It never raises and never rolls back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum Unreadable {
    /// The API asked us to slow down.
    #[error("throttled")]
    Throttled,
    /// Credentials are missing, expired or refused as such.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The caller may not do this.
    #[error("access denied: {0}")]
    Denied(String),
    /// It does not exist (any more).
    #[error("not found: {0}")]
    NotFound(String),
    /// An element that this build cannot represent, named by its path.
    #[error("{0}")]
    Unrepresentable(String),
    /// Network, time-out, 5xx, malformed answer.
    #[error("{0}")]
    Unavailable(String),
}
