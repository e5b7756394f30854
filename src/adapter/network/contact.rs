//! Reports a first contact with a host that takes long, so that a person who waits at a terminal knows why.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time after which a missing first response is reported.
const REPORT_AFTER: Duration = Duration::from_secs(3);

/// The hosts that this process has called.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<HashMap<String, Contact>>);

#[derive(Debug, Clone, Copy)]
enum Contact {
    /// The host has not responded since this first try.
    Waiting(Instant),
    /// The host has responded, or was reported once.
    Known,
}

impl Contacts {
    /// Waits for a response of `host`. Logs a warning once if the first response takes longer than three seconds,
    /// counted from the first try. `through` describes the proxy.
    pub async fn wait<T, E>(
        &self,
        host: &str,
        through: impl FnOnce() -> String,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let first_try = match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host.to_owned()) {
            std::collections::hash_map::Entry::Occupied(found) => *found.get(),
            std::collections::hash_map::Entry::Vacant(new) => *new.insert(Contact::Waiting(Instant::now())),
        };
        let Contact::Waiting(since) = first_try else { return answer.await };
        let mut answer = std::pin::pin!(answer);
        let result = if let Ok(result) = tokio::time::timeout_at(since + REPORT_AFTER, &mut answer).await {
            result
        } else {
            if self.known(host) {
                tracing::warn!("still waiting for the first response of {host}{}", through());
            }
            answer.await
        };
        if result.is_ok() {
            self.known(host);
        }
        result
    }

    /// Marks a host as known. Returns whether the host was unknown before.
    fn known(&self, host: &str) -> bool {
        let old = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), Contact::Known);
        matches!(old, Some(Contact::Waiting(_)))
    }
}
