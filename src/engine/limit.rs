//! Limits how much of the account's API rate a run uses: a token bucket for modifying calls, the pace of restoring
//! writes, and the interval between observations. The functions only compute: they receive the time as an argument and
//! call no API.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::rounds::PART_INTERVAL;
use crate::base::rate::Rate;

/// The default budget for observations, in calls per second: a fifth of 50 describe calls per second. AWS publishes no
/// figure. Its own controllers are known to get 50 calls per second, and share the same bucket.
pub const OBSERVE_BUDGET: f64 = 10.0;

/// The shortest interval between two observations, for any budget.
const MIN_POLL: Duration = Duration::from_secs(5);
/// The longest interval between two observations. A guard that observes less often does not protect anything.
const MAX_POLL: Duration = Duration::from_mins(5);

/// Returns the time between two observations of `calls` calls each, with a budget of `budget` calls per second (greater
/// than 0). The result is from 5 s to 5 min.
#[allow(clippy::cast_precision_loss)] // a number of calls
pub fn poll_interval(calls: usize, budget: f64) -> Duration {
    Duration::try_from_secs_f64(calls as f64 / budget).unwrap_or(MAX_POLL).clamp(MIN_POLL, MAX_POLL)
}

/// Returns the number of parts of an observation of `calls` calls. An observation that fits into the shortest interval
/// has one part. Otherwise each part has as many calls as the budget allows in [`PART_INTERVAL`], but at least two
/// calls: one call for the groups that may be unhealthy, and one call for the other groups.
pub fn part_count(poll: Duration, calls: usize) -> usize {
    if poll <= MIN_POLL {
        return 1;
    }
    let intervals = usize::try_from(poll.as_secs() / PART_INTERVAL.as_secs()).unwrap_or(usize::MAX);
    let calls_per_part = calls / intervals.max(1);
    calls.div_ceil(calls_per_part.max(2)).max(1)
}

/// The factor by which the interval between observations is longer than planned, because AWS throttles reads. The
/// account's controllers use the same bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollSlowdown(f64);

/// The largest factor of a slowdown. A guard must continue to observe.
const MAX_SLOWDOWN: f64 = 4.0;

impl PollSlowdown {
    /// Creates a slowdown with the factor 1.
    pub fn new() -> Self {
        Self(1.0)
    }

    /// Adapts the factor to an observation. Doubles the factor if AWS throttled some of the reads even after retries,
    /// otherwise reduces it by a fifth, down to 1.
    pub fn record_observation(&mut self, throttled: bool) {
        self.0 = if throttled { (self.0 * 2.0).min(MAX_SLOWDOWN) } else { (self.0 * 0.8).max(1.0) };
    }

    /// Returns the time between two observations whose planned interval is `poll`.
    pub fn stretch(self, poll: Duration) -> Duration {
        poll.mul_f64(self.0).min(MAX_POLL.max(poll))
    }
}

/// A token bucket. Functions receive the time as an argument.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Rate,
    /// The estimated number of calls per second that AWS accepts; at most the configured rate.
    learned: f64,
    tokens: f64,
    at: Timestamp,
}

/// The lowest estimated rate, as a fraction of the configured rate.
const MIN_RATE_FRACTION: f64 = 1.0 / 8.0;
/// The seconds in which the estimated rate grows from 0 to the configured rate.
const RECOVERY_SECONDS: f64 = 60.0;

impl TokenBucket {
    /// Creates a full bucket.
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, learned: rate.per_second, tokens: rate.burst, at: now }
    }

    /// Takes up to `wanted` calls. Returns how many calls are granted now.
    #[cfg(test)]
    pub fn take(&mut self, wanted: usize, now: Timestamp) -> usize {
        self.take_with_reserve(0.0, wanted, now)
    }

    /// Takes up to `wanted` calls, but leaves `reserve` tokens (at most half of a small bucket). Returns how many calls
    /// are granted now.
    // The value is from 0 to the burst.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn take_with_reserve(&mut self, reserve: f64, wanted: usize, now: Timestamp) -> usize {
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.at = now;
        self.tokens = elapsed.mul_add(self.learned, self.tokens).min(self.rate.burst);
        self.learned = elapsed.mul_add(self.rate.per_second / RECOVERY_SECONDS, self.learned).min(self.rate.per_second);
        let free = self.tokens - reserve.min((self.rate.burst / 2.0).floor());
        let granted = wanted.min(free.floor().max(0.0) as usize);
        self.tokens -= granted as f64;
        granted
    }

    /// Returns the time at which `wanted` calls are available in addition to `reserve` tokens; at most a second from
    /// now.
    #[allow(clippy::cast_precision_loss)] // a small number of calls
    pub fn available_at(&self, reserve: f64, wanted: usize, now: Timestamp) -> Timestamp {
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        let tokens = elapsed.mul_add(self.learned, self.tokens).min(self.rate.burst);
        let missing = wanted as f64 + reserve.min((self.rate.burst / 2.0).floor()) - tokens;
        let seconds = if missing > 0.0 { (missing / self.learned).min(1.0) + 1e-3 } else { 0.0 };
        SignedDuration::try_from_secs_f64(seconds).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(now)
    }

    /// Empties the bucket and halves its refill rate after AWS throttled a call, because other callers use AWS's bucket
    /// too. Several throttled calls at the same time count as one.
    pub fn drain(&mut self) {
        if self.tokens > 0.0 || self.learned >= self.rate.per_second {
            self.learned = (self.learned / 2.0).max(self.rate.per_second * MIN_RATE_FRACTION);
        }
        self.tokens = self.tokens.min(0.0);
    }
}

/// The pace of calls that are sent as soon as AWS accepts them: unlimited until AWS throttles a call, then an estimate
/// of the rate that AWS accepts. The estimate grows with each accepted call, and shrinks after a throttled call.
///
/// A throttled call costs only one round trip. So the pace stays a little above the accepted rate, to use all calls
/// that AWS accepts.
#[derive(Debug, Clone)]
pub struct CallPace {
    /// The pace after the first throttled call, in calls per second.
    initial: f64,
    /// The slowest pace, in calls per second.
    floor: f64,
    /// The factor by which the pace grows with each accepted call.
    growth: f64,
    /// The current pace, in calls per second; `None` if AWS has not throttled a call yet.
    rate: Option<f64>,
    /// The earliest time of the next call.
    next: Timestamp,
    /// The time at which the pace was last reduced.
    reduced: Timestamp,
}

/// The number of delayed calls that may be made at once to catch up.
const MAX_CATCH_UP_CALLS: f64 = 3.0;

impl CallPace {
    /// Creates the pace of restoring writes, which is unlimited at first. After a throttled call, the pace is at least
    /// about `per_second`, AWS's published rate.
    pub fn of_restores(per_second: f64) -> Self {
        let floor = per_second * 1.1;
        Self { initial: floor, floor, growth: 1.03, rate: None, next: Timestamp::MIN, reduced: Timestamp::MIN }
    }

    /// Creates the pace of reads that are not urgent, which is unlimited at first. After a throttled call, the pace is
    /// at least half of the lowest rate for which AWS has an example, 10 calls per second. AWS's controllers use the
    /// same bucket, so fewer calls are throttled than with restoring writes.
    pub fn of_reads() -> Self {
        Self { initial: 11.0, floor: 5.0, growth: 1.01, rate: None, next: Timestamp::MIN, reduced: Timestamp::MIN }
    }

    /// Returns how many of `wanted` calls may be made now.
    // The value is from 0 to a few hundred.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn grant(&mut self, wanted: usize, now: Timestamp) -> usize {
        let Some(rate) = self.rate else { return wanted };
        let time_per_call = time_per_call(rate);
        let earliest = now - SignedDuration::from_secs_f64(MAX_CATCH_UP_CALLS / rate);
        self.next = self.next.max(earliest);
        if self.next > now {
            return 0;
        }
        let slots = (now.duration_since(self.next).as_secs_f64() * rate).floor() as usize + 1;
        let granted = wanted.min(slots);
        self.next += time_per_call * i32::try_from(granted).unwrap_or(i32::MAX);
        granted
    }

    /// Returns the earliest time of the next call. The time is in the past if there is no limit.
    pub fn next(&self) -> Timestamp {
        if self.rate.is_some() { self.next } else { Timestamp::MIN }
    }

    /// Returns the current pace in calls per second; `None` if AWS has not throttled a call yet.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Increases the pace a little after AWS accepted a call, if the pace is limited.
    pub fn record_accepted(&mut self) {
        self.rate = self.rate.map(|rate| (rate * self.growth).min(100.0));
    }

    /// Reduces the pace after AWS throttled a call that was sent at `sent`. Calls that were sent before the last
    /// reduction say nothing about the reduced pace.
    pub fn record_throttled(&mut self, sent: Timestamp, now: Timestamp) {
        match self.rate {
            None => {
                self.rate = Some(self.initial);
                self.next = now + time_per_call(self.initial);
            }
            Some(_) if sent < self.reduced => return,
            Some(rate) => self.rate = Some((rate * 0.85).max(self.floor)),
        }
        self.reduced = now;
    }
}

fn time_per_call(rate: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(1.0 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_interval_grows_with_the_calls_of_an_observation() {
        assert_eq!(poll_interval(3, OBSERVE_BUDGET), MIN_POLL);
        assert_eq!(poll_interval(211, OBSERVE_BUDGET), Duration::from_millis(21_100));
        assert_eq!(poll_interval(211, 50.0), MIN_POLL);
        assert_eq!(poll_interval(211, 2.0), Duration::from_millis(105_500));
        assert_eq!(poll_interval(usize::MAX, 1e-300), MAX_POLL);
    }

    /// More calls in a part than the budget allows would take the calls of AWS's controllers.
    #[test]
    fn parts_keep_the_budget() {
        for (calls, budget) in [(2_052, 10.0), (83, 1.0), (86, 1.0), (211, 10.0), (101, 10.0), (5_000, 10.0)] {
            let poll = poll_interval(calls, budget);
            let parts = part_count(poll, calls);
            let interval = poll.as_secs_f64() / f64::from(u32::try_from(parts).expect("a small number"));
            assert!((1.5..4.5).contains(&interval), "{calls} calls: a part every {interval} s");
            let part = calls.div_ceil(parts);
            assert!(part * (parts - 1) < calls && calls <= part * parts, "{calls} calls: {parts} parts of {part}");
        }
        assert_eq!((part_count(MIN_POLL, 40), part_count(MAX_POLL, 3)), (1, 2));
    }

    #[test]
    fn bucket_says_when_calls_are_available() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(Rate { burst: 18.0, per_second: 3.0 }, start);
        assert_eq!(bucket.available_at(8.0, 3, start), start);
        assert_eq!(bucket.take_with_reserve(8.0, 20, start), 10);
        let later = bucket.available_at(8.0, 3, start);
        assert_eq!(later, start + SignedDuration::from_millis(1_001));
        assert_eq!(bucket.take_with_reserve(8.0, 20, later), 3);
        bucket.drain();
        let wait = bucket.available_at(8.0, 3, later).duration_since(later);
        assert_eq!(wait, SignedDuration::from_millis(1_001), "requests and the guard must not wait longer");
    }

    #[test]
    fn bucket_grants_the_burst_and_then_the_rate() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        assert_eq!(bucket.take(100, start), 20);
        assert_eq!(bucket.take(100, start), 0);
        assert_eq!(bucket.take(100, start + SignedDuration::from_secs(2)), 6);
        bucket.drain();
        assert_eq!(
            bucket.take(100, start + SignedDuration::from_secs(102)),
            20,
            "a bucket must not grant more than the burst"
        );
    }

    #[test]
    fn throttling_slows_down_observations_until_it_ends() {
        let (mut slowdown, poll) = (PollSlowdown::new(), Duration::from_secs(5));
        let mut seen = Vec::new();
        for throttled in [true, true, true, false, false, false, false, false, false, false] {
            slowdown.record_observation(throttled);
            seen.push(slowdown.stretch(poll).as_secs());
        }
        assert_eq!(seen, [10, 20, 20, 16, 12, 10, 8, 6, 5, 5]);
        assert_eq!(slowdown.stretch(MAX_POLL), MAX_POLL);
    }

    /// Other callers use half of a bucket that fills at 3 tokens per second. The estimate adapts, so fewer calls are
    /// throttled.
    #[test]
    fn throttled_bucket_halves_its_rate_and_recovers() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        bucket.take(20, start);
        bucket.drain();
        bucket.drain();
        let after =
            |bucket: &mut TokenBucket, seconds: i64| bucket.take(100, bucket.at + SignedDuration::from_secs(seconds));
        assert_eq!(after(&mut bucket, 2), 3, "a throttled bucket must refill at half the rate");
        assert_eq!(after(&mut bucket, 120), 20);
        assert_eq!(after(&mut bucket, 2), 6, "the bucket must refill at the full rate after two minutes");
    }

    #[test]
    fn raises_leave_a_reserve_for_rollbacks() {
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(Rate { burst: 18.0, per_second: 3.0 }, start);
        assert_eq!((bucket.take_with_reserve(8.0, 100, start), bucket.take_with_reserve(8.0, 100, start)), (10, 0));
        assert_eq!(bucket.take(100, start), 8, "the reserve must be available to a rollback");
        let mut small = TokenBucket::new(Rate { burst: 4.0, per_second: 3.0 }, start);
        assert_eq!(small.take_with_reserve(8.0, 100, start), 2, "a small bucket must also grant calls");
        let mut smallest = TokenBucket::new(Rate { burst: 1.0, per_second: 1.0 }, start);
        assert_eq!(smallest.take_with_reserve(8.0, 100, start), 1);
    }

    /// A hundred calls to a bucket of 20 tokens that fills at 3 tokens per second take at least 80/3 s.
    #[test]
    fn restore_pace_uses_the_rate_that_aws_accepts() {
        let start = Timestamp::UNIX_EPOCH;
        let mut aws = TokenBucket::new(Rate { burst: 20.0, per_second: 3.0 }, start);
        let (mut pace, mut left, mut now, mut calls) = (CallPace::of_restores(3.0), 100, start, 0);
        while left > 0 {
            for _ in 0..pace.grant(left, now) {
                calls += 1;
                if aws.take(1, now) == 1 {
                    left -= 1;
                    pace.record_accepted();
                } else {
                    pace.record_throttled(now, now);
                }
            }
            now += SignedDuration::from_millis(10);
        }
        let took = now.duration_since(start).as_secs_f64();
        assert!(took < 1.05 * 80.0 / 3.0, "{took} s");
        assert!(calls < 230, "{calls} calls: too many calls were throttled");
    }
}
