//! The errors of a write to AWS or Kubernetes.

/// Why a write did not happen, or may not have happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The API throttled the request. Nothing was changed.
    #[error("throttled")]
    Throttled,
    /// The API refused the request. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The request was not sent, because there is no connection. Nothing was changed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The API did not find the resource. Nothing was changed.
    #[error("not found: {0}")]
    NotFound(String),
    /// The credentials are missing or expired. Nothing was changed.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The request was sent, but the response is missing or unclear. The write may still take effect until its
    /// deadline.
    #[error("no response: {0}")]
    Unanswered(String),
}
