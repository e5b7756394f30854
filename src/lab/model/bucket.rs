//! Token buckets that limit AWS calls, one for each class of calls of the account.

use jiff::Timestamp;

use crate::lab::scenario::model::Bucket as Limit;

/// A token bucket with a constant fill rate.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    limit: Limit,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    /// Creates a full bucket.
    pub fn new(limit: Limit, now: Timestamp) -> Self {
        Self { limit, tokens: limit.burst, filled: now }
    }

    /// Creates a bucket that never becomes empty.
    pub fn unlimited(now: Timestamp) -> Self {
        Self::new(Limit { burst: f64::INFINITY, per_second: 0.0 }, now)
    }

    /// Takes a token and returns whether the bucket had one. `capacity` (0–1) is the fraction of burst and fill rate
    /// that a throttling fault leaves.
    pub fn take(&mut self, now: Timestamp, capacity: f64) -> bool {
        let elapsed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        self.filled = now;
        self.tokens =
            (self.tokens + elapsed * self.limit.per_second * capacity).min((self.limit.burst * capacity).max(1.0));
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}
