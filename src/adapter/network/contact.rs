//! Reports a first contact with a host that takes long, so that a person who waits at a terminal knows why.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
    Waiting { since: Instant, is_reported: bool },
    /// The host has responded.
    Responded,
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
        let since = match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host.to_owned()) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(new) => *new.insert(Contact::Waiting { since: Instant::now(), is_reported: false }),
        };
        let Contact::Waiting { since, .. } = since else { return answer.await };
        let mut answer = std::pin::pin!(answer);
        let result = if let Ok(result) = tokio::time::timeout_at(since + REPORT_AFTER, &mut answer).await {
            result
        } else {
            if self.report_now(host) {
                tracing::warn!("still waiting for the first response of {host}{}", through());
            }
            answer.await
        };
        if result.is_ok() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), Contact::Responded);
        }
        result
    }

    /// Returns whether the host has responded to this process.
    pub fn has_responded(&self, host: &str) -> bool {
        let contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(contacts.get(host), Some(Contact::Responded))
    }

    /// Returns whether the host must be reported now, which happens only once.
    fn report_now(&self, host: &str) -> bool {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(host) {
            Some(Contact::Waiting { is_reported, .. }) => !std::mem::replace(is_reported, true),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silent_host_is_reported_once_and_has_not_responded() {
        let contacts = Contacts::default();
        let answer = |wait: Duration, result: Result<(), ()>| async move {
            tokio::time::sleep(wait).await;
            result
        };
        let slow = Duration::from_secs(4);
        let _ = contacts.wait("a.test", String::new, answer(slow, Err(()))).await;
        assert!(!contacts.has_responded("a.test") && !contacts.report_now("a.test"));
        let _ = contacts.wait("a.test", String::new, answer(slow, Ok(()))).await;
        assert!(contacts.has_responded("a.test"));
    }
}
