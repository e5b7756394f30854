//! Parses and formats durations such as `90s`, `10m`, `1h30m`: hours, minutes and seconds in this order, each at most
//! once.

use std::time::Duration;

use jiff::SignedDuration;

/// The maximum duration in a plan: thirty days.
pub const MAX: Duration = Duration::from_hours(30 * 24);
/// The format of a duration, as a regular expression.
pub const PATTERN: &str = "^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$";

const UNITS: [(&str, Duration); 4] = [
    ("h", Duration::from_hours(1)),
    ("m", Duration::from_mins(1)),
    ("s", Duration::from_secs(1)),
    ("ms", Duration::from_millis(1)),
];

/// Parses a duration: positive, at most [`MAX`].
///
/// # Errors
/// What is wrong with the duration, worded so that it follows the text in a sentence.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    match read(text)? {
        Duration::ZERO => Err("must be longer than zero"),
        long if long > MAX => Err("is longer than thirty days"),
        good => Ok(good),
    }
}

/// Parses a duration: zero or positive, at most [`MAX`].
///
/// # Errors
/// What is wrong with the duration, worded so that it follows the text in a sentence.
pub fn parse_or_zero(text: &str) -> Result<Duration, &'static str> {
    match read(text)? {
        long if long > MAX => Err("is longer than thirty days"),
        good => Ok(good),
    }
}

/// Parses a duration of any length.
///
/// # Errors
/// What is wrong with the duration, worded so that it follows the text in a sentence.
pub fn read(text: &str) -> Result<Duration, &'static str> {
    parse_with_units(text, &UNITS[..3])
}

/// Parses a duration of any length that may have milliseconds: `500ms`, `1s500ms`.
///
/// # Errors
/// What is wrong with the duration, worded so that it follows the text in a sentence.
pub fn read_with_millis(text: &str) -> Result<Duration, &'static str> {
    parse_with_units(text, &UNITS)
}

fn parse_with_units(text: &str, units: &[(&str, Duration)]) -> Result<Duration, &'static str> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    for (unit, length) in units {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after =
            rest[digits..].strip_prefix(unit).filter(|after| digits > 0 && !after.starts_with(char::is_alphabetic));
        if let Some(after) = after {
            total += *length * rest[..digits].parse::<u32>().map_err(|_| "is too long")?;
            rest = after;
        }
    }
    if rest.is_empty() && !text.is_empty() { Ok(total) } else { Err("is not a duration") }
}

/// Formats a duration as a plan writes it, in whole seconds: `1h30m`, `90s` as `1m30s`.
pub fn format_exact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    join(&[(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')])
}

/// Formats an elapsed duration in its two largest units: `45s`, `9m48s`, `1h30m`, `2d3h`; `0s` for a negative duration.
pub fn format_elapsed(duration: SignedDuration) -> String {
    let seconds = u64::try_from(duration.as_secs()).unwrap_or_default();
    let parts = [(seconds / 86_400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    join(&parts[first..(first + 2).min(4)])
}

fn join(parts: &[(u64, char)]) -> String {
    let shown = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().concat();
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_and_formatted() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661), ("720h", 2_592_000)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(parse(&format_exact(Duration::from_secs(seconds))), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "10",
            "m",
            "10 m",
            "1.5h",
            "-1m",
            "30m1h",
            "1m1m",
            "0s",
            "721h",
            "99999999999999999999s",
            "1d",
            "10M",
            "1h ",
            "٣s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!((parse_or_zero("0s"), parse_or_zero("721h").is_err()), (Ok(Duration::ZERO), true));
    }

    #[test]
    fn elapsed_duration_has_two_units() {
        let seconds = [0, 45, 60, 588, 5400, 183_600, -3].map(|s| format_elapsed(SignedDuration::from_secs(s)));
        assert_eq!(seconds, ["0s", "45s", "1m", "9m48s", "1h30m", "2d3h", "0s"]);
    }
}
