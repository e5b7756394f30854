//! An upper bound of the difference between two error rates, given what was observed.

use super::RequestCount;

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.96;

/// Wilson's interval of a rate, 0–1. Without requests it is the interval from 0 to 1.
pub fn wilson_interval(count: RequestCount) -> (f64, f64) {
    if count.requests == 0 {
        return (0.0, 1.0);
    }
    let (n, rate) = (count.all(), count.rate());
    let (centre, spread) = (rate + Z * Z / (2.0 * n), Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt());
    let scale = 1.0 + Z * Z / n;
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// Upper bound of the new rate minus the old one, −1 to 1: Newcombe's combination of the two Wilson intervals.
pub fn max_difference(old: RequestCount, new: RequestCount) -> f64 {
    let ((low, _), (_, high)) = (wilson_interval(old), wilson_interval(new));
    let (rate_old, rate_new) = (old.rate(), new.rate());
    if old.requests == 0 {
        return high - low;
    }
    (rate_new - rate_old) + ((high - rate_new).powi(2) + (rate_old - low).powi(2)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(requests: u64, errors: u64) -> RequestCount {
        RequestCount { requests, errors }
    }

    /// Newcombe (1998), table II, example (a): 56/70 against 48/80 has 0.0524 to 0.3339.
    #[test]
    fn as_published() {
        assert!((max_difference(count(80, 48), count(70, 56)) - 0.3339).abs() < 1e-4);
        let (low, high) = wilson_interval(count(263, 81));
        assert!((low - 0.2553).abs() < 1e-3 && (high - 0.3662).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn few_requests_give_a_wide_bound() {
        assert!(max_difference(count(0, 0), count(0, 0)) > 0.99);
        assert!(max_difference(count(5400, 54), count(20, 0)) > 0.1, "twenty good requests prove nothing");
        assert!(max_difference(count(5400, 54), count(600, 6)) < 0.02);
        assert!(max_difference(count(54_000, 540), count(6000, 60)) < 0.005);
    }
}
