//! The failures of a write.

/// Why a write did not happen, or may not have happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The API answered: throttled. Nothing was changed.
    #[error("throttled")]
    Throttled,
    /// The API refused. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Not sent: no connection. Nothing was changed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The API answered: not found. Nothing was changed.
    #[error("not found: {0}")]
    NotFound(String),
    /// Credentials are missing or expired. Nothing was changed.
    #[error("credentials: {0}")]
    Credentials(String),
    /// Sent, but there was no answer, or an unclear one. The write may still be applied, until its deadline.
    #[error("no answer: {0}")]
    Unanswered(String),
}
