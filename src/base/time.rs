//! Saturating arithmetic for timestamps: a duration from a plan never causes an overflow.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Adds a duration to a time; returns at most [`Timestamp::MAX`].
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(signed(by)).unwrap_or(Timestamp::MAX)
}

/// Subtracts a duration from a time; returns at least [`Timestamp::MIN`].
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(signed(by)).unwrap_or(Timestamp::MIN)
}

/// Converts a duration to a signed duration; returns at most [`SignedDuration::MAX`].
pub fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_limits_of_timestamps() {
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(
            (later(at, Duration::from_secs(3)).as_second(), earlier(at, Duration::from_secs(3)).as_second()),
            (3, -3)
        );
        assert_eq!((later(at, Duration::MAX), earlier(at, Duration::MAX)), (Timestamp::MAX, Timestamp::MIN));
    }
}
