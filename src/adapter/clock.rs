//! Clocks: the system's, and the lab's, whose time runs faster or is virtual.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Clock;

/// The machine's own clock. It never goes back: where someone sets the machine's, or NTP does, it goes on as fast as time passes, until the
/// machine's has caught up. One that stood still or went back would leave the traffic unguarded for as long.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
static STEADY: Steady = Steady::new();

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        let passed = ORIGIN.elapsed();
        STEADY.now(Timestamp::now(), passed)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Makes a clock that never goes back from one that might.
#[derive(Debug, Default)]
pub struct Steady(Mutex<Option<(Timestamp, Duration)>>);

impl Steady {
    /// Before its first look.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The time, where a clock shows `wall` and a monotonic one `passed` since whenever: the later of the clock's and what it must be by now.
    pub fn now(&self, wall: Timestamp, passed: Duration) -> Timestamp {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = last.map_or(wall, |(time, then)| {
            let since = SignedDuration::try_from(passed.saturating_sub(then)).unwrap_or_default();
            wall.max(time.saturating_add(since).unwrap_or(time))
        });
        *last = Some((now, passed));
        now
    }
}

/// A clock that is so much ahead of another: where a journal was written by a machine, or at a time, whose clock was ahead of ours.
pub struct Ahead {
    inner: Arc<dyn Clock>,
    by: SignedDuration,
}

impl Ahead {
    /// The same clock, or where it has not come to `last` yet, one that has.
    pub fn of(inner: Arc<dyn Clock>, last: Timestamp) -> Arc<dyn Clock> {
        let by = last.duration_since(inner.now());
        if by.is_positive() { Arc::new(Self { inner, by }) } else { inner }
    }
}

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.inner.now().saturating_add(self.by).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn of_real(&self, real: Duration) -> Duration {
        self.inner.of_real(real)
    }
}

/// A clock that starts at a given time and runs `speed` times as fast as tokio's, which may itself be paused.
#[derive(Debug, Clone)]
pub struct Scaled {
    start: Timestamp,
    origin: Instant,
    speed: f64,
    beat: Option<Arc<Mutex<Beat>>>,
}

/// How far a clock that needs beats has come, in tokio's time: up to the last beat, and when that was.
#[derive(Debug)]
struct Beat {
    gone: Duration,
    at: Instant,
}

/// A clock that needs beats goes on for this long after each.
const REACH: Duration = Duration::from_millis(10);

impl Scaled {
    /// Starts now, inside a tokio runtime. `speed` is greater than 0.
    pub fn new(start: Timestamp, speed: f64) -> Self {
        Self { start, origin: Instant::now(), speed, beat: None }
    }

    /// The same, but it stands still a moment after each [`Scaled::beat`]: where whoever beats gets late, because the machine has other
    /// things to do, time waits for him. At hundreds of times the wall's speed, a busy machine would otherwise look like hours of silence.
    #[must_use]
    pub fn beating(self) -> Self {
        let beat = Beat { gone: self.origin.elapsed(), at: Instant::now() };
        Self { beat: Some(Arc::new(Mutex::new(beat))), ..self }
    }

    /// Lets a clock that needs beats go on. To be called much more often than every ten milliseconds of tokio's time.
    pub fn beat(&self) {
        if let Some(beat) = &self.beat {
            lock(beat).go_on();
        }
    }

    /// Time gone since the start, in tokio's time.
    fn gone(&self) -> Duration {
        self.beat.as_ref().map_or_else(|| self.origin.elapsed(), |beat| lock(beat).gone())
    }

    /// How many times faster than tokio's clock it runs.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

#[async_trait]
impl Clock for Scaled {
    fn now(&self) -> Timestamp {
        let elapsed = self.gone().mul_f64(self.speed);
        SignedDuration::try_from(elapsed).ok().and_then(|d| self.start.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        let real = duration.div_f64(self.speed);
        let until = self.gone().saturating_add(real);
        tokio::time::sleep(real).await;
        while self.beat.is_some() {
            let left = until.saturating_sub(self.gone());
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left).await;
        }
    }

    fn of_real(&self, real: Duration) -> Duration {
        real.mul_f64(self.speed)
    }
}

impl Beat {
    fn gone(&self) -> Duration {
        self.gone + self.at.elapsed().min(REACH)
    }

    fn go_on(&mut self) {
        self.gone = self.gone();
        self.at = Instant::now();
    }
}

fn lock(beat: &Mutex<Beat>) -> MutexGuard<'_, Beat> {
    beat.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on() {
        let (steady, at) = (Steady::new(), |s: i64| Timestamp::from_second(s).expect("small"));
        let passed = Duration::from_secs;
        assert_eq!(steady.now(at(1000), passed(0)), at(1000));
        assert_eq!(steady.now(at(400), passed(5)), at(1005), "set back by ten minutes");
        assert_eq!(steady.now(at(410), passed(15)), at(1015));
        assert_eq!(steady.now(at(2000), passed(16)), at(2000), "a machine that slept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_needs_beats_waits_for_them_and_never_goes_back() {
        let clock = Scaled::new(Timestamp::UNIX_EPOCH, 100.0).beating();
        let seconds = |clock: &Scaled| clock.now().as_duration().as_secs_f64();
        tokio::time::advance(Duration::from_millis(4)).await;
        assert!((seconds(&clock) - 0.4).abs() < 1e-6);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!((seconds(&clock) - 1.0).abs() < 1e-6, "five seconds without a beat are ten milliseconds");
        clock.beat();
        assert!((seconds(&clock) - 1.0).abs() < 1e-6);
        tokio::time::advance(Duration::from_millis(4)).await;
        assert!((seconds(&clock) - 1.4).abs() < 1e-6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_lasts_until_the_clock_has_come_so_far() {
        let clock = Scaled::new(Timestamp::UNIX_EPOCH, 100.0).beating();
        let beats = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    // A machine so busy that it gets to beat every second.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    clock.beat();
                }
            }
        });
        let began = Instant::now();
        clock.sleep(Duration::from_secs(3)).await;
        assert!(clock.now() >= Timestamp::from_second(3).expect("small"));
        assert!(began.elapsed() >= Duration::from_secs(2));
        beats.abort();
    }
}
