//! When something that failed is tried again. Every schedule of the program stands here, under the name of what it is for; waiting, and on
//! which clock, is the caller's business.

use std::time::Duration;

/// Pauses between the tries of one thing: a first one, each further one so many times as long, up to a most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    first: Duration,
    factor: u32,
    most: Duration,
    tries: u32,
}

/// Reads of a process that looks once (`check`, `init`, the start of a run): about eight seconds in all.
pub const READ: Schedule = Schedule::new(500, 4_000).tries(5);
/// Reads within one look of the loop: less than half a poll, so that no guard waits for it. Where four of ten calls are refused, hardly
/// anything would be seen often enough otherwise.
pub const LOOK: Schedule = Schedule::new(500, 1_000).tries(3);
/// Putting the tags that keep the weights: about nine seconds in all.
pub const KEEP: Schedule = Schedule::new(300, 4_800).tries(6);
/// Removing the marker and the tags that keep the weights: 28 seconds in all.
pub const UNTAG: Schedule = Schedule::new(250, 1_000).tries(29);
/// The most that removing them may take, answers included.
pub const UNTAG_WITHIN: Duration = Duration::from_secs(30);
/// A route whose write or read failed, within a batch.
pub const WRITE: Schedule = Schedule::new(500, 8_000);
/// A route whose restoring write failed: traffic is being lost.
pub const RESTORE: Schedule = Schedule::new(200, 3_200);
/// Reading a write back.
pub const READ_BACK: Schedule = Schedule::new(200, 2_000);
/// Reading a restoring write back.
pub const READ_BACK_SOON: Schedule = Schedule::new(100, 2_000);
/// Reads that the AWS SDK repeats by itself: about five seconds in all.
pub const SDK: Schedule = Schedule::new(300, 3_000).tries(5);
/// Deliveries of notifications and telemetry: 13 seconds in all.
pub const DELIVER: Schedule = Schedule { factor: 3, ..Schedule::new(1_000, 9_000).tries(4) };
/// Tries at once against others who change the same object of the store; each means that somebody else came through.
pub const CONTENDED: u32 = 20;
/// Tries at once to renew or free a lock of the store.
pub const RENEW: u32 = 3;
/// Tries at once to append to a journal in the store: an answer that was lost, and what the others left.
pub const APPEND: u32 = 4;

impl Schedule {
    /// Doubling, without end; durations in milliseconds.
    const fn new(first: u64, most: u64) -> Self {
        Self { first: Duration::from_millis(first), factor: 2, most: Duration::from_millis(most), tries: u32::MAX }
    }

    /// Limits the number of tries, the first one included.
    const fn tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// The pause after so many failures in a row, from 1.
    pub fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(self.factor.saturating_pow(failures.saturating_sub(1))).min(self.most)
    }

    /// The pauses between the tries, in order.
    pub fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        (1..self.tries).map(move |failures| self.after(failures))
    }

    /// How many tries there are, the first one included.
    pub const fn count(self) -> u32 {
        self.tries
    }

    /// The first pause.
    pub const fn first(self) -> Duration {
        self.first
    }

    /// The longest pause.
    pub const fn most(self) -> Duration {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most() {
        let millis = |schedule: Schedule| schedule.pauses().map(|p| p.as_millis()).collect::<Vec<_>>();
        assert_eq!(millis(READ), [500, 1_000, 2_000, 4_000]);
        assert_eq!(millis(LOOK), [500, 1_000]);
        assert_eq!(millis(SDK), [300, 600, 1_200, 2_400]);
        assert_eq!(millis(DELIVER), [1_000, 3_000, 9_000]);
        assert_eq!([1, 2, 5, 6, u32::MAX].map(|n| WRITE.after(n).as_millis()), [500, 1_000, 8_000, 8_000, 8_000]);
    }
}
