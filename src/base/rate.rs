//! How fast an API takes calls: the size and the refill of its token bucket. The buckets themselves belong to the engine.

use std::time::Duration;

/// A token bucket's size and refill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls at once.
    pub burst: f64,
    /// Calls a second after that.
    pub per_second: f64,
}

/// The rate of a run's writes: 18 at once, then 3 a second. AWS publishes no limit; its load balancer controller ships with 20 + 3/s,
/// and takes from the same bucket of the account. Two of the twenty are left for the run's marker.
pub const WRITES: Rate = Rate { burst: 18.0, per_second: 3.0 };

impl Rate {
    /// Returns the minimum time that this number of calls takes, from a full bucket.
    #[allow(clippy::cast_precision_loss)] // a number of calls
    pub fn min_duration(self, calls: usize) -> Duration {
        Duration::from_secs_f64((calls as f64 - self.burst).max(0.0) / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_writes_take_a_minute_and_a_half() {
        assert_eq!(WRITES.min_duration(18), Duration::ZERO);
        assert_eq!(WRITES.min_duration(300), Duration::from_secs(94));
    }
}
