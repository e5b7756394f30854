//! What is taken of an account's API limits: a token bucket for the calls that AWS meters most tightly, and how often to look at things.

use std::time::Duration;

use jiff::Timestamp;

/// Calls a second that looking may take where nothing else is said: a fifth of 50 describe calls a second. AWS publishes no figure; 50 is what
/// its own controllers are known to live with, and they take theirs from the same bucket.
pub const LOOKS: f64 = 10.0;

/// Never more often than this, however much there is to spend.
const LEAST: Duration = Duration::from_secs(5);
/// Never more seldom: a guard that looks less than once in five minutes guards nothing.
const MOST: Duration = Duration::from_mins(5);

/// Time between two looks of so many calls each, where `budget` calls a second may be spent (greater than 0): from 5 s to 5 min.
#[allow(clippy::cast_precision_loss)] // a number of calls
pub fn interval(calls: usize, budget: f64) -> Duration {
    Duration::try_from_secs_f64(calls as f64 / budget).unwrap_or(MOST).clamp(LEAST, MOST)
}

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
    fn looks_are_as_far_apart_as_their_calls_need() {
        assert_eq!(interval(3, LOOKS), LEAST);
        assert_eq!(interval(211, LOOKS), Duration::from_millis(21_100));
        assert_eq!(interval(211, 50.0), LEAST);
        assert_eq!(interval(211, 2.0), Duration::from_millis(105_500));
        assert_eq!(interval(usize::MAX, 1e-300), MOST);
    }

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
