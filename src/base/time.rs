//! Saturating arithmetic of time: a duration from a plan never overflows a timestamp.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Returns a time later by a duration; at most [`Timestamp::MAX`].
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(signed(by)).unwrap_or(Timestamp::MAX)
}

/// Returns a time earlier by a duration; at least [`Timestamp::MIN`].
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(signed(by)).unwrap_or(Timestamp::MIN)
}

/// Returns a duration as a signed one; at most [`SignedDuration::MAX`].
pub fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_where_timestamps_end() {
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(
            (later(at, Duration::from_secs(3)).as_second(), earlier(at, Duration::from_secs(3)).as_second()),
            (3, -3)
        );
        assert_eq!((later(at, Duration::MAX), earlier(at, Duration::MAX)), (Timestamp::MAX, Timestamp::MIN));
    }
}
