//! Compares latencies of the old and the new cluster with a signed-rank test over the differences of the windows'
//! quantiles.
//!
//! Each window has one quantile per cluster, so a cause that slows down both clusters cancels out in the difference. If
//! the new cluster is not slower than allowed, a positive difference of any size is at most as likely as a negative
//! one, and the distribution of the rank sum is known exactly. The test may be evaluated after every window: evaluation
//! m uses α·6/(π·m)² of the error probability, and the sum over all m is α.

/// Minimum number of windows for a verdict.
pub const MIN_WINDOWS: usize = 10;

/// Maximum number of windows that are ranked. If there are more, only the latest windows are ranked.
const MAX_WINDOWS: usize = 60;

/// The result of the rank test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// The number of ranked windows.
    pub windows: usize,
    /// The one-sided probability of this sum of positive ranks or a larger sum.
    pub probability: f64,
    /// The test fails if the probability is at or below this bound.
    pub bound: f64,
    /// The median difference, in the unit of the differences.
    pub median: f64,
}

impl RankTest {
    /// Whether the new cluster is slower than allowed.
    pub fn fails(&self) -> bool {
        self.windows >= MIN_WINDOWS && self.probability <= self.bound
    }
}

/// Tests differences (new latency minus allowed latency), oldest first; `None` with fewer than [`MIN_WINDOWS`]
/// differences.
pub fn judge(differences: &[f64], alpha: f64) -> Option<RankTest> {
    let evaluation = differences.len().checked_sub(MIN_WINDOWS)? + 1;
    let latest = &differences[differences.len().saturating_sub(MAX_WINDOWS)..];
    let evaluation = f64::from(u32::try_from(evaluation).unwrap_or(u32::MAX));
    let bound = alpha * 6.0 / (std::f64::consts::PI * evaluation).powi(2);
    Some(RankTest { windows: latest.len(), probability: probability(latest), bound, median: median(latest) })
}

/// Returns the median of the values, which must not be empty.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Returns the probability of this sum of positive ranks or a larger sum, if both signs are equally likely.
#[allow(clippy::cast_precision_loss)]
fn probability(differences: &[f64]) -> f64 {
    // Doubled ranks are integers, even with ties; differences of zero are ignored.
    let mut sizes: Vec<(f64, bool)> = differences.iter().filter(|d| **d != 0.0).map(|d| (d.abs(), *d > 0.0)).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks: Vec<(usize, bool)> = (0..sizes.len())
        .map(|i| {
            let first = sizes.iter().position(|s| s.0 >= sizes[i].0).unwrap_or(i);
            let last = sizes.iter().rposition(|s| s.0 <= sizes[i].0).unwrap_or(i);
            (first + last + 2, sizes[i].1)
        })
        .collect();
    let positive_rank_sum: usize = ranks.iter().filter(|(_, above)| *above).map(|(rank, _)| rank).sum();
    let rank_sum: usize = ranks.iter().map(|(rank, _)| rank).sum();
    let mut chances = vec![0.0; rank_sum + 1];
    chances[0] = 1.0;
    for (rank, _) in &ranks {
        for sum in (0..=rank_sum).rev() {
            chances[sum] = 0.5 * (chances[sum] + if sum >= *rank { chances[sum - rank] } else { 0.0 });
        }
    }
    chances[positive_rank_sum..].iter().sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probability_equals_published_values() {
        // All ten differences are positive in 1 of 1024 cases. In the published table, a rank sum of at most 8 with ten
        // differences has the probability 0.0244.
        assert!((probability(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]) - 1.0 / 1024.0).abs() < 1e-12);
        let eight = [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -7.0, 8.0, 9.0, 10.0];
        assert!((probability(&eight) - 0.0244).abs() < 1e-4, "{}", probability(&eight));
        assert!((probability(&[0.0; 12]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ten_slow_windows_fail_but_nine_or_mixed_windows_do_not() {
        assert_eq!(judge(&[0.2; 9], 0.01), None);
        assert!(judge(&[0.2; 10], 0.01).is_some_and(|r| r.fails()));
        let mixed: Vec<f64> = (0..30).map(|i| if i % 2 == 0 { 0.2 } else { -0.2 }).collect();
        assert!(!judge(&mixed, 0.01).is_some_and(|r| r.fails()));
        let slow: Vec<f64> = (0..40).map(|i| if i < 10 { -0.1 } else { 0.2 }).collect();
        assert!(
            judge(&slow, 0.01).is_some_and(|r| r.fails()),
            "thirty slow windows after ten fast windows must fail: {:?}",
            judge(&slow, 0.01)
        );
    }
}
