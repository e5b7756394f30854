//! Wall and monotonic time.

use std::time::Duration;

use async_trait::async_trait;

/// Wall and monotonic time; a lab's runs faster.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> jiff::Timestamp;
    /// Waits for this long on that clock.
    async fn sleep(&self, duration: Duration);
    /// How long a real duration, such as an HTTP deadline's, is on that clock.
    fn of_real(&self, real: Duration) -> Duration;
}
