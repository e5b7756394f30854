//! What is taken of an account's API limits: a token bucket for the calls that AWS meters most tightly, and how often to look at things.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

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

/// How much more seldom than planned things are looked at, as throttled looks teach: the bucket is the account's, and its controllers live on it
/// too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ease(f64);

/// At most so many times as far apart: a guard has to look.
const EASIEST: f64 = 4.0;

impl Ease {
    /// As planned.
    pub fn new() -> Self {
        Self(1.0)
    }

    /// A look was had: twice as far apart after one of which AWS throttled a part to its end, and back in steps of a fifth.
    pub fn looked(&mut self, throttled: bool) {
        self.0 = if throttled { (self.0 * 2.0).min(EASIEST) } else { (self.0 * 0.8).max(1.0) };
    }

    /// The time between two looks.
    pub fn apart(self, poll: Duration) -> Duration {
        poll.mul_f64(self.0).min(MOST.max(poll))
    }
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
    /// Calls a second that AWS is thought to give, at most the rate's.
    learned: f64,
    tokens: f64,
    at: Timestamp,
}

/// The least that is thought of AWS, as a part of what was configured.
const LEAST_RATE: f64 = 1.0 / 8.0;
/// Seconds in which nothing learned becomes everything configured again.
const RECOVERY: f64 = 60.0;

impl Bucket {
    /// Full.
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, learned: rate.per_second, tokens: rate.burst, at: now }
    }

    /// Takes up to `wanted` calls; returns how many are granted now.
    #[cfg(test)]
    pub fn take(&mut self, wanted: usize, now: Timestamp) -> usize {
        self.take_but(0.0, wanted, now)
    }

    /// The same, leaving this many tokens there (of a small bucket, at most half).
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // between 0 and the burst
    pub fn take_but(&mut self, reserve: f64, wanted: usize, now: Timestamp) -> usize {
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.at = now;
        self.tokens = elapsed.mul_add(self.learned, self.tokens).min(self.rate.burst);
        self.learned = elapsed.mul_add(self.rate.per_second / RECOVERY, self.learned).min(self.rate.per_second);
        let free = self.tokens - reserve.min((self.rate.burst / 2.0).floor());
        let granted = wanted.min(free.floor().max(0.0) as usize);
        self.tokens -= granted as f64;
        granted
    }

    /// AWS said that its bucket is empty: ours is too, and fills half as fast, as others must be drawing on it. Several answers at once say that
    /// once.
    pub fn drain(&mut self) {
        if self.tokens > 0.0 || self.learned >= self.rate.per_second {
            self.learned = (self.learned / 2.0).max(self.rate.per_second * LEAST_RATE);
        }
        self.tokens = self.tokens.min(0.0);
    }
}

/// The pace of restoring writes: as fast as they can be sent until AWS throttles one, and then its own rate, learned.
///
/// A throttled call costs nothing but its round trip. So the pace is kept a little above what is accepted: whatever AWS gives is used at once.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Never slower than this, in calls a second: a bit more than AWS's published rate.
    floor: f64,
    /// Calls a second; `None`: not throttled yet.
    rate: Option<f64>,
    /// The next call.
    next: Timestamp,
}

/// Calls that were not made in their time and are made up for at once.
const CATCH_UP: f64 = 3.0;

impl Pace {
    /// Unlimited, until throttled; then at least about `per_second`.
    pub fn new(per_second: f64) -> Self {
        Self { floor: per_second * 1.1, rate: None, next: Timestamp::MIN }
    }

    /// How many of `wanted` calls may be made now.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // between 0 and some hundred
    pub fn grant(&mut self, wanted: usize, now: Timestamp) -> usize {
        let Some(rate) = self.rate else { return wanted };
        let slot = slot(rate);
        let earliest = now - SignedDuration::from_secs_f64(CATCH_UP / rate);
        self.next = self.next.max(earliest);
        if self.next > now {
            return 0;
        }
        let slots = (now.duration_since(self.next).as_secs_f64() * rate).floor() as usize + 1;
        let granted = wanted.min(slots);
        self.next += slot * i32::try_from(granted).unwrap_or(i32::MAX);
        granted
    }

    /// When the next call may be made; in the past where there is no limit.
    pub fn next(&self) -> Timestamp {
        if self.rate.is_some() { self.next } else { Timestamp::MIN }
    }

    /// A call was accepted: a little faster, if there is a limit.
    pub fn accepted(&mut self) {
        self.rate = self.rate.map(|rate| (rate * 1.03).min(100.0));
    }

    /// AWS throttled a call.
    pub fn throttled(&mut self, now: Timestamp) {
        match self.rate {
            None => {
                self.rate = Some(self.floor);
                self.next = now + slot(self.floor);
            }
            Some(rate) => self.rate = Some((rate * 0.85).max(self.floor)),
        }
    }
}

fn slot(rate: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(1.0 / rate)
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
        assert_eq!(bucket.take(100, start + SignedDuration::from_secs(2)), 6);
        bucket.drain();
        assert_eq!(bucket.take(100, start + SignedDuration::from_secs(102)), 20, "never more than the burst");
    }

    #[test]
    fn looks_are_eased_by_throttling_and_recover() {
        let (mut ease, poll) = (Ease::new(), Duration::from_secs(5));
        let mut seen = Vec::new();
        for throttled in [true, true, true, false, false, false, false, false, false, false] {
            ease.looked(throttled);
            seen.push(ease.apart(poll).as_secs());
        }
        assert_eq!(seen, [10, 20, 20, 16, 12, 10, 8, 6, 5, 5]);
        assert_eq!(ease.apart(MOST), MOST);
    }

    /// Others take half of a bucket that fills at 3 a second: whoever learns that asks in vain less and less.
    #[test]
    fn the_rate_is_learned_and_recovers() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        bucket.take(20, start);
        bucket.drain();
        bucket.drain();
        let after =
            |bucket: &mut Bucket, seconds: i64| bucket.take(100, bucket.at + SignedDuration::from_secs(seconds));
        assert_eq!(after(&mut bucket, 2), 3, "half of what was thought");
        assert_eq!(after(&mut bucket, 120), 20);
        assert_eq!(after(&mut bucket, 2), 6, "and all of it two minutes later");
    }

    #[test]
    fn raises_leave_a_reserve() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket::new(Rate { burst: 18.0, per_second: 3.0 }, start);
        assert_eq!((bucket.take_but(8.0, 100, start), bucket.take_but(8.0, 100, start)), (10, 0));
        assert_eq!(bucket.take(100, start), 8, "for a rollback");
        let mut small = Bucket::new(Rate { burst: 4.0, per_second: 3.0 }, start);
        assert_eq!(small.take_but(8.0, 100, start), 2, "a small bucket moves too");
        let mut smallest = Bucket::new(Rate { burst: 1.0, per_second: 1.0 }, start);
        assert_eq!(smallest.take_but(8.0, 100, start), 1);
    }

    /// A hundred calls against a bucket of 20 that fills at 3 a second: nobody can be done before 80/3 s.
    #[test]
    fn the_pace_uses_what_aws_gives() {
        let start = Timestamp::UNIX_EPOCH;
        let mut aws = Bucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        let (mut pace, mut left, mut now, mut calls) = (Pace::new(3.0), 100, start, 0);
        while left > 0 {
            for _ in 0..pace.grant(left, now) {
                calls += 1;
                if aws.take(1, now) == 1 {
                    left -= 1;
                    pace.accepted();
                } else {
                    pace.throttled(now);
                }
            }
            now += SignedDuration::from_millis(10);
        }
        let took = now.duration_since(start).as_secs_f64();
        assert!(took < 1.05 * 80.0 / 3.0, "{took} s");
        assert!(calls < 230, "{calls} calls: few in vain");
    }
}
