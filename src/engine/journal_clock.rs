//! A clock that is never earlier than the last journal entry. Another machine with a faster clock may have written that
//! entry.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::port::Clock;

/// A clock that is a fixed time ahead of another clock.
pub struct JournalClock {
    inner: Arc<dyn Clock>,
    by: SignedDuration,
}

impl JournalClock {
    /// Returns `inner`, or a clock that starts at `last` if `inner` has not reached that time yet.
    pub fn at_least(inner: Arc<dyn Clock>, last: Timestamp) -> Arc<dyn Clock> {
        let by = last.duration_since(inner.now());
        if by.is_positive() { Arc::new(Self { inner, by }) } else { inner }
    }
}

#[async_trait]
impl Clock for JournalClock {
    fn now(&self) -> Timestamp {
        self.inner.now().saturating_add(self.by).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn of_real(&self, real: Duration) -> Duration {
        self.inner.of_real(real)
    }
}
