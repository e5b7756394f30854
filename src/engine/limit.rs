//! A token bucket for the calls that AWS meters most tightly.

use jiff::Timestamp;

/// A bucket's size and refill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls at once.
    pub burst: f64,
    /// Calls a second after that.
    pub per_second: f64,
}

/// A token bucket. Time is an argument.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// Full.
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, tokens: rate.burst, at: now }
    }

    /// Takes up to `wanted` calls; returns how many are granted now.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // between 0 and the burst
    pub fn take(&mut self, wanted: usize, now: Timestamp) -> usize {
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.at = now;
        self.tokens = elapsed.mul_add(self.rate.per_second, self.tokens).min(self.rate.burst);
        let granted = wanted.min(self.tokens.floor().max(0.0) as usize);
        self.tokens -= granted as f64;
        granted
    }

    /// AWS said that its bucket is empty: ours is too.
    pub fn drain(&mut self) {
        self.tokens = self.tokens.min(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_the_burst_and_then_the_rate() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        assert_eq!(bucket.take(100, start), 20);
        assert_eq!(bucket.take(100, start), 0);
        assert_eq!(bucket.take(100, start + jiff::SignedDuration::from_secs(2)), 6);
        bucket.drain();
        assert_eq!(bucket.take(100, start + jiff::SignedDuration::from_secs(102)), 20, "never more than the burst");
    }
}
