//! All retry schedules of the program, each named by its purpose. The caller waits, on a clock of its choice.

use std::time::Duration;

/// The pauses between tries: a first pause, then each pause is the previous pause times a factor, up to a maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySchedule {
    first: Duration,
    factor: u32,
    most: Duration,
    tries: u32,
}

/// The schedule for calls of a process that reads once (`check`, `init`, the start of a run): about twenty seconds in
/// total. A throttled call does not use this schedule; a pace delays it instead.
pub const READ: RetrySchedule = RetrySchedule::new(500, 4_000).tries(8);
/// Reads within one observation. The pauses are shorter than half of the poll interval, so that guards are not delayed.
/// With fewer tries, observations would often fail if AWS rejects four of ten calls.
pub const OBSERVE: RetrySchedule = RetrySchedule::new(500, 1_000).tries(3);
/// The schedule for adding the marker of a new run and the tags that record the original weights: about nine seconds in
/// total.
pub const TAG_WEIGHTS: RetrySchedule = RetrySchedule::new(300, 4_800).tries(6);
/// The schedule for removing the marker and the tags that record the original weights: 28 seconds in total.
pub const UNTAG: RetrySchedule = RetrySchedule::new(250, 1_000).tries(29);
/// Maximum duration of the removal with [`UNTAG`], including the time for responses.
pub const UNTAG_WITHIN: Duration = Duration::from_secs(30);
/// The schedule for repeating a failed write or read of a route within a batch.
pub const WRITE: RetrySchedule = RetrySchedule::new(500, 8_000);
/// The schedule for repeating a failed write of a rollback. The pauses are short, because traffic is at risk.
pub const RESTORE: RetrySchedule = RetrySchedule::new(200, 3_200);
/// The schedule for reading a route back after a write.
pub const READ_BACK: RetrySchedule = RetrySchedule::new(200, 2_000);
/// The schedule for reading a route back after a write of a rollback.
pub const READ_BACK_SOON: RetrySchedule = RetrySchedule::new(100, 2_000);
/// The schedule for reads that the AWS SDK itself repeats: about five seconds in total.
pub const SDK: RetrySchedule = RetrySchedule::new(300, 3_000).tries(5);
/// The schedule for the delivery of notifications and telemetry: 13 seconds in total.
pub const DELIVER: RetrySchedule = RetrySchedule { factor: 3, ..RetrySchedule::new(1_000, 9_000).tries(4) };
/// Immediate tries to change an object of the store that others change at the same time; each failure means that
/// another writer succeeded.
pub const CONTENDED_TRIES: u32 = 20;
/// Immediate tries to renew or release a lock of the store.
pub const LOCK_TRIES: u32 = 3;
/// Immediate tries to append to a journal in the store: one try for a lost response, the other tries for records that
/// other processes appended at the same time.
pub const APPEND_TRIES: u32 = 4;

impl RetrySchedule {
    /// Creates a schedule whose pauses double, without a limit on the number of tries. Durations are in milliseconds.
    const fn new(first: u64, most: u64) -> Self {
        Self { first: Duration::from_millis(first), factor: 2, most: Duration::from_millis(most), tries: u32::MAX }
    }

    /// Limits the number of tries, including the first.
    const fn tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Returns the pause after this many consecutive failures, from 1.
    pub fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(self.factor.saturating_pow(failures.saturating_sub(1))).min(self.most)
    }

    /// Returns the pauses between the tries, in order.
    pub fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        (1..self.tries).map(move |failures| self.after(failures))
    }

    /// Returns the number of tries, including the first.
    pub const fn count(self) -> u32 {
        self.tries
    }

    /// Returns the first pause.
    pub const fn first(self) -> Duration {
        self.first
    }

    /// Returns the longest pause.
    pub const fn most(self) -> Duration {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let millis = |schedule: RetrySchedule| schedule.pauses().map(|p| p.as_millis()).collect::<Vec<_>>();
        assert_eq!(millis(READ), [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
        assert_eq!(millis(OBSERVE), [500, 1_000]);
        assert_eq!(millis(SDK), [300, 600, 1_200, 2_400]);
        assert_eq!(millis(DELIVER), [1_000, 3_000, 9_000]);
        assert_eq!([1, 2, 5, 6, u32::MAX].map(|n| WRITE.after(n).as_millis()), [500, 1_000, 8_000, 8_000, 8_000]);
    }
}
