//! Formats numbers for people.

/// Formats a percentage with at most two decimal places and no trailing zeros: `5`, `0.1`, `33.33`.
pub fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a measured value with at most four significant digits and no trailing zeros: `0.00475`, `12.5`, `1234567`.
pub fn measured(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[allow(clippy::cast_possible_truncation)] // an exponent of a floating-point number
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12);
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Formats a number and a noun, with an `s` unless the number is 1: `1 route`, `36 routes`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_values_have_four_digits() {
        let texts =
            [0.004_749_999_999_999_999, 0.004_750_000_000_000_001, 12.5, 1_234_567.8, 0.0, 99.999, -0.5].map(measured);
        assert_eq!(texts, ["0.00475", "0.00475", "12.5", "1234568", "0", "100", "-0.5"]);
        assert_eq!(measured(f64::NAN), "NaN");
    }

    #[test]
    fn percentages_and_counts_are_formatted() {
        assert_eq!([5.0, 0.1, 100.0 / 3.0, 100.0].map(percent), ["5", "0.1", "33.33", "100"]);
        assert_eq!([1, 36].map(|n| count(n, "route")), ["1 route", "36 routes"]);
    }
}
