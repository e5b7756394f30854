//! A clock for a run whose journal was written by a machine, or at a time, whose clock was ahead of ours.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::port::Clock;

/// A clock that is so much ahead of another.
pub struct Ahead {
    inner: Arc<dyn Clock>,
    by: SignedDuration,
}

impl Ahead {
    /// The same clock, or where it has not come to `last` yet, one that has.
    pub fn of(inner: Arc<dyn Clock>, last: Timestamp) -> Arc<dyn Clock> {
        let by = last.duration_since(inner.now());
        if by.is_positive() { Arc::new(Self { inner, by }) } else { inner }
    }
}

#[async_trait]
impl Clock for Ahead {
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
