//! Rate limits of API calls: the size and the refill of a token bucket. The buckets themselves belong to the engine.

use std::time::Duration;

/// The size and the refill rate of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The number of calls that a full bucket allows at once.
    pub burst: f64,
    /// The number of calls per second that the refill allows.
    pub per_second: f64,
}

/// The rate of a run's writes: 18 at once, then 3 per second. AWS publishes no limit. The AWS Load Balancer Controller
/// uses the same bucket of the account, and by default sends 20 calls at once, then 3 per second. Two of the 20 are
/// left for the marker.
pub const WRITE_RATE: Rate = Rate { burst: 18.0, per_second: 3.0 };

impl Rate {
    /// Returns the minimum time that this number of calls takes if the bucket is full at the start.
    #[allow(clippy::cast_precision_loss)] // exact for any realistic number of calls
    pub fn min_duration(self, calls: usize) -> Duration {
        Duration::from_secs_f64((calls as f64 - self.burst).max(0.0) / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_beyond_the_burst_take_time() {
        assert_eq!(WRITE_RATE.min_duration(18), Duration::ZERO);
        assert_eq!(WRITE_RATE.min_duration(300), Duration::from_secs(94));
    }
}
