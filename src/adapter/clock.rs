//! Clocks: the system clock, and the clock of the lab, which runs faster or in virtual time.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::base::time::later;
use crate::port::Clock;

/// The system clock. The wall clock is read once when the process starts; from then on, a monotonic clock counts the
/// time. Later changes of the wall clock by a person or NTP have no effect. A change forward would shorten waits, such
/// as the settle time of a step or the time in which a write may still take effect. A change back would leave the
/// traffic unguarded for as long.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static STEADY_CLOCK: LazyLock<SteadyClock> = LazyLock::new(|| SteadyClock::new(Timestamp::now(), since_boot()));

/// Returns the time since the machine started, including the time in which it slept. A run must notice that it observed
/// nothing during that sleep.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    rustix::time::clock_gettime(clock).try_into().unwrap_or_default()
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        STEADY_CLOCK.now(since_boot())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn of_real(&self, real: Duration) -> Duration {
        real
    }
}

/// A clock that nobody can set. It is derived from a clock that can be set.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    wall: Timestamp,
    passed: Duration,
}

impl SteadyClock {
    /// Creates a clock that shows `wall` when the monotonic clock shows `passed`.
    pub const fn new(wall: Timestamp, passed: Duration) -> Self {
        Self { wall, passed }
    }

    /// Returns the time when the monotonic clock shows `passed`.
    pub fn now(&self, passed: Duration) -> Timestamp {
        later(self.wall, passed.saturating_sub(self.passed))
    }
}

/// A clock that starts at a given time and runs `speed` times as fast as tokio's, which may itself be paused.
#[derive(Debug, Clone)]
pub struct LabClock {
    start: Timestamp,
    origin: Instant,
    speed: f64,
    beat: Option<Arc<Mutex<ClockBeat>>>,
}

/// The progress of a clock that needs beats, in tokio's time: the time at the last beat, and the instant of that beat.
#[derive(Debug)]
struct ClockBeat {
    elapsed: Duration,
    at: Instant,
}

/// The time for which a clock that needs beats continues after each beat.
const BEAT_LENGTH: Duration = Duration::from_millis(10);

impl LabClock {
    /// Creates a clock that starts now. Call this in a tokio runtime. `speed` is greater than 0.
    pub fn new(start: Timestamp, speed: f64) -> Self {
        Self { start, origin: Instant::now(), speed, beat: None }
    }

    /// Returns a clock that stops shortly after each [`LabClock::beat`]. If a busy machine delays the beats, the time
    /// of the lab waits. Without beats, at hundreds of times real speed, a delay would look like hours without a
    /// reading.
    #[must_use]
    pub fn with_beats(self) -> Self {
        let beat = ClockBeat { elapsed: self.origin.elapsed(), at: Instant::now() };
        Self { beat: Some(Arc::new(Mutex::new(beat))), ..self }
    }

    /// Continues a clock that needs beats. Call this much more often than every 10 ms of tokio's time.
    pub fn beat(&self) {
        if let Some(beat) = &self.beat {
            lock(beat).record();
        }
    }

    /// Returns the time since the start, in tokio's time.
    fn elapsed(&self) -> Duration {
        self.beat.as_ref().map_or_else(|| self.origin.elapsed(), |beat| lock(beat).elapsed())
    }

    /// Returns the speed relative to tokio's clock.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

#[async_trait]
impl Clock for LabClock {
    fn now(&self) -> Timestamp {
        later(self.start, self.elapsed().mul_f64(self.speed))
    }

    async fn sleep(&self, duration: Duration) {
        let real = duration.div_f64(self.speed);
        let until = self.elapsed().saturating_add(real);
        tokio::time::sleep(real).await;
        while self.beat.is_some() {
            let left = until.saturating_sub(self.elapsed());
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

impl ClockBeat {
    fn elapsed(&self) -> Duration {
        self.elapsed + self.at.elapsed().min(BEAT_LENGTH)
    }

    fn record(&mut self) {
        self.elapsed = self.elapsed();
        self.at = Instant::now();
    }
}

fn lock(beat: &Mutex<ClockBeat>) -> MutexGuard<'_, ClockBeat> {
    beat.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn system_clock_starts_at_the_time_of_the_machine() {
        let (before, now, again) = (Timestamp::now(), SystemClock.now(), SystemClock.now());
        assert!(
            now.duration_since(before).abs() < SignedDuration::from_mins(1) && again >= now,
            "{before} {now} {again}"
        );
        let steady = SteadyClock::new(Timestamp::from_second(1000).expect("valid timestamp"), Duration::from_secs(50));
        assert_eq!(steady.now(Duration::from_secs(55)).as_second(), 1005);
    }

    #[tokio::test(start_paused = true)]
    async fn clock_stops_without_beats_and_never_goes_back() {
        let clock = LabClock::new(Timestamp::UNIX_EPOCH, 100.0).with_beats();
        let seconds = |clock: &LabClock| clock.now().as_duration().as_secs_f64();
        tokio::time::advance(Duration::from_millis(4)).await;
        assert!((seconds(&clock) - 0.4).abs() < 1e-6);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!((seconds(&clock) - 1.0).abs() < 1e-6, "the clock must stop ten milliseconds after a beat");
        clock.beat();
        assert!((seconds(&clock) - 1.0).abs() < 1e-6);
        tokio::time::advance(Duration::from_millis(4)).await;
        assert!((seconds(&clock) - 1.4).abs() < 1e-6);
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_lasts_until_the_clock_reaches_its_end() {
        let clock = LabClock::new(Timestamp::UNIX_EPOCH, 100.0).with_beats();
        let beats = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    // A busy machine beats only once per second.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    clock.beat();
                }
            }
        });
        let started_at = Instant::now();
        clock.sleep(Duration::from_secs(3)).await;
        assert!(clock.now() >= Timestamp::from_second(3).expect("valid timestamp"));
        assert!(started_at.elapsed() >= Duration::from_secs(2));
        beats.abort();
    }
}
