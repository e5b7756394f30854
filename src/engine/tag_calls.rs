//! Sends the calls that write tags, at the rate that AWS accepts. AWS counts them as modifying calls and accepts only a
//! few of these per second, so many calls take time. This is not a failure. Do not choose tags or resources here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limit::CallPace;
use crate::base::rate::WRITE_RATE;
use crate::base::retry::RetrySchedule;
use crate::port::{Clock, WriteError};

/// The calls of one task, such as the removal of all tags of a run.
pub struct TagCalls<'a> {
    clock: &'a dyn Clock,
    schedule: RetrySchedule,
    /// The lock that makes waiting calls take turns in their order.
    turn: tokio::sync::Mutex<()>,
    pace: Mutex<CallPace>,
    /// The number of calls that AWS accepted.
    accepted: AtomicUsize,
}

impl<'a> TagCalls<'a> {
    /// Creates a pace that is unlimited until AWS throttles a call. `schedule` has the pauses after failures of one
    /// call.
    pub fn new(clock: &'a dyn Clock, schedule: RetrySchedule) -> Self {
        let pace = Mutex::new(CallPace::of_restores(WRITE_RATE.per_second));
        Self { clock, schedule, turn: tokio::sync::Mutex::default(), pace, accepted: AtomicUsize::new(0) }
    }

    /// Sends a call until AWS accepts it, or it fails with an error that is not temporary, or the schedule ends. A
    /// throttled call does not count as a failure if AWS accepted another call meanwhile.
    pub async fn send<F>(&self, call: impl Fn() -> F) -> Result<(), WriteError>
    where
        F: Future<Output = Result<(), WriteError>>,
    {
        let mut pauses = self.schedule.pauses();
        loop {
            self.wait_for_turn().await;
            let (before, sent) = (self.accepted.load(Ordering::Relaxed), self.clock.now());
            let error = match call().await {
                Ok(()) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    self.pace().record_accepted();
                    return Ok(());
                }
                Err(error) if !is_temporary(&error) => return Err(error),
                Err(error) => error,
            };
            if matches!(error, WriteError::Throttled) {
                self.pace().record_throttled(sent, self.clock.now());
                if self.accepted.load(Ordering::Relaxed) != before {
                    continue;
                }
            }
            match pauses.next() {
                Some(pause) => self.clock.sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn wait_for_turn(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let now = self.clock.now();
            let next = {
                let mut pace = self.pace();
                if pace.grant(1, now) == 1 { None } else { Some(pace.next()) }
            };
            let Some(next) = next else { return };
            self.clock.sleep(next.duration_since(now).unsigned_abs().max(Duration::from_millis(1))).await;
        }
    }

    fn pace(&self) -> MutexGuard<'_, CallPace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a retry of the write may succeed.
pub fn is_temporary(error: &WriteError) -> bool {
    matches!(error, WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unanswered(_))
}

#[cfg(test)]
mod tests {
    use futures::future::{Ready, join_all, ready};
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::clock::LabClock;
    use crate::base::rate::Rate;
    use crate::base::retry::TAG_WEIGHTS;
    use crate::engine::limit::TokenBucket;

    /// Returns the token bucket of a simulated AWS account.
    fn aws(per_second: f64) -> Mutex<TokenBucket> {
        Mutex::new(TokenBucket::new(Rate { burst: 20.0, per_second }, Timestamp::UNIX_EPOCH))
    }

    fn call(aws: &Mutex<TokenBucket>, clock: &LabClock) -> Ready<Result<(), WriteError>> {
        let accepted = aws.lock().expect("no thread should have panicked").take(1, clock.now()) == 1;
        ready(if accepted { Ok(()) } else { Err(WriteError::Throttled) })
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_take_the_time_that_the_rate_allows_and_none_fails() {
        for parallel in [false, true] {
            let (clock, aws) = (LabClock::new(Timestamp::UNIX_EPOCH, 1.0), aws(3.0));
            let calls = TagCalls::new(&clock, TAG_WEIGHTS);
            if parallel {
                let sent = join_all((0..200).map(|_| calls.send(|| call(&aws, &clock)))).await;
                assert!(sent.iter().all(Result::is_ok));
            } else {
                for _ in 0..200 {
                    calls.send(|| call(&aws, &clock)).await.expect("a throttled call should be repeated");
                }
            }
            let seconds = clock.now().duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
            assert!(seconds <= 1.1 * 180.0 / 3.0, "{seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_aws_never_accepts_fail_after_the_schedule() {
        let (clock, aws) = (LabClock::new(Timestamp::UNIX_EPOCH, 1.0), aws(1e-6));
        aws.lock().expect("no thread should have panicked").take(20, clock.now());
        let calls = TagCalls::new(&clock, TAG_WEIGHTS);
        let sent = join_all((0..5).map(|_| calls.send(|| call(&aws, &clock)))).await;
        assert!(sent.iter().all(Result::is_err));
        assert!(clock.now().duration_since(Timestamp::UNIX_EPOCH).as_secs_f64() < 30.0);
    }
}
