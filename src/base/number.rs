//! Formats numbers for people.

/// Formats a percentage with at most two decimal places and no trailing zeros: `5`, `0.1`, `33.33`.
pub fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a number and a noun, with an `s` unless the number is 1: `1 route`, `36 routes`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_counts_are_formatted() {
        assert_eq!([5.0, 0.1, 100.0 / 3.0, 100.0].map(percent), ["5", "0.1", "33.33", "100"]);
        assert_eq!([1, 36].map(|n| count(n, "route")), ["1 route", "36 routes"]);
    }
}
