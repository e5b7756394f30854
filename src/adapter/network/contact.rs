//! Reports a first contact that takes long: a person must not look at a silent terminal without knowing why.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A first answer that takes longer than this is reported.
const PATIENCE: Duration = Duration::from_secs(3);

/// The hosts that this process has called.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<HashMap<String, Contact>>);

#[derive(Debug, Clone, Copy)]
enum Contact {
    /// No answer yet, since the first try.
    Waiting(Instant),
    /// Answered, or reported once.
    Known,
}

impl Contacts {
    /// Waits for an answer of `host`. Logs a warning once if the first answer takes longer than three seconds, counted
    /// from the first try; `through` describes the proxy.
    pub async fn wait<T, E>(
        &self,
        host: &str,
        through: impl FnOnce() -> String,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host.to_owned()) {
            std::collections::hash_map::Entry::Occupied(found) => *found.get(),
            std::collections::hash_map::Entry::Vacant(new) => *new.insert(Contact::Waiting(Instant::now())),
        };
        let Contact::Waiting(since) = begun else { return answer.await };
        let mut answer = std::pin::pin!(answer);
        let result = if let Ok(result) = tokio::time::timeout_at(since + PATIENCE, &mut answer).await {
            result
        } else {
            if self.known(host) {
                tracing::warn!("still waiting for the first answer of {host}{}", through());
            }
            answer.await
        };
        if result.is_ok() {
            self.known(host);
        }
        result
    }

    /// Marks a host as known. Returns whether it was not.
    fn known(&self, host: &str) -> bool {
        let old = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), Contact::Known);
        matches!(old, Some(Contact::Waiting(_)))
    }
}
