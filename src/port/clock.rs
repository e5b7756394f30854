//! The clock: wall time and waiting.

use std::time::Duration;

use async_trait::async_trait;

/// Wall time and waiting. The clock of a lab runs faster.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> jiff::Timestamp;
    /// Waits for this long on that clock.
    async fn sleep(&self, duration: Duration);
    /// Converts a real duration, such as an HTTP deadline, to this clock.
    fn of_real(&self, real: Duration) -> Duration;
}
