//! How a write fails.

/// Why a write did not happen, or may not have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// Answered: not now. Nothing was changed.
    #[error("throttled")]
    Throttled,
    /// Answered: no. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Never sent: no connection. Nothing was changed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Answered: no such thing. Nothing was changed.
    #[error("not found: {0}")]
    NotFound(String),
    /// Answered or found before sending: credentials missing or expired. Nothing was changed.
    #[error("credentials: {0}")]
    Credentials(String),
    /// Sent, and no answer, or one that does not tell: it may yet be applied, until the deadline.
    #[error("no answer: {0}")]
    Unknown(String),
}
