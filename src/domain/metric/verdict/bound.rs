//! Computes an upper bound of the difference between two error rates from observed requests.

use super::RequestCount;

/// The quantile of the normal distribution for a two-sided interval of 95 %.
const NORMAL_QUANTILE: f64 = 1.96;

/// Returns Wilson's interval of an error rate, 0–1. Without requests, the interval is from 0 to 1.
pub fn wilson_interval(count: RequestCount) -> (f64, f64) {
    if count.requests == 0 {
        return (0.0, 1.0);
    }
    let (n, rate) = (count.all(), count.rate());
    let (centre, spread) = (
        rate + NORMAL_QUANTILE * NORMAL_QUANTILE / (2.0 * n),
        NORMAL_QUANTILE * (rate * (1.0 - rate) / n + NORMAL_QUANTILE * NORMAL_QUANTILE / (4.0 * n * n)).sqrt(),
    );
    let scale = 1.0 + NORMAL_QUANTILE * NORMAL_QUANTILE / n;
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// Returns an upper bound of the new rate minus the old rate, −1 to 1, by Newcombe's combination of two Wilson
/// intervals.
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

    /// In Newcombe (1998), table II, example (a), 56/70 and 48/80 give the interval from 0.0524 to 0.3339.
    #[test]
    fn bounds_equal_published_values() {
        assert!((max_difference(count(80, 48), count(70, 56)) - 0.3339).abs() < 1e-4);
        let (low, high) = wilson_interval(count(263, 81));
        assert!((low - 0.2553).abs() < 1e-3 && (high - 0.3662).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn few_requests_give_a_wide_bound() {
        assert!(max_difference(count(0, 0), count(0, 0)) > 0.99);
        assert!(max_difference(count(5400, 54), count(20, 0)) > 0.1, "twenty good requests must give a wide bound");
        assert!(max_difference(count(5400, 54), count(600, 6)) < 0.02);
        assert!(max_difference(count(54_000, 540), count(6000, 60)) < 0.005);
    }
}
