//! The clock of the engine: the current time and waiting.

use std::time::Duration;

use async_trait::async_trait;

/// A clock that returns the current time and waits. The clock of a rehearsal runs faster than real time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the current time of this clock.
    fn now(&self) -> jiff::Timestamp;
    /// Waits until `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
    /// Converts a real duration, such as an HTTP deadline, to a duration of this clock.
    fn of_real(&self, real: Duration) -> Duration;
}
