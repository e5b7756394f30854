//! Clocks: the system's, and the lab's, whose time runs faster or is virtual.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Clock;

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that starts at a given time and runs `speed` times as fast as tokio's, which may itself be paused.
#[derive(Debug, Clone, Copy)]
pub struct Scaled {
    start: Timestamp,
    origin: Instant,
    speed: f64,
}

impl Scaled {
    /// Starts now, inside a tokio runtime. `speed` is greater than 0.
    pub fn new(start: Timestamp, speed: f64) -> Self {
        Self { start, origin: Instant::now(), speed }
    }

    /// How many times faster than tokio's clock it runs.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

#[async_trait]
impl Clock for Scaled {
    fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed().mul_f64(self.speed);
        SignedDuration::try_from(elapsed).ok().and_then(|d| self.start.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.speed)).await;
    }

    fn of_real(&self, real: Duration) -> Duration {
        real.mul_f64(self.speed)
    }
}
