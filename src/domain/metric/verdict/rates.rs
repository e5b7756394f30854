//! Compares error rates of the old and the new cluster with a test that may be evaluated after every window.
//!
//! For a given number of errors in a window, the number of errors of the new cluster has a binomial distribution. Under
//! the null hypothesis, the error rate of the new cluster is at most `ratio` times the old error rate. Then the
//! expected fraction of errors of the new cluster is at most ratio·n / (ratio·n + N), for n requests to the new cluster
//! and N to the old cluster. A bet on a larger ratio is a likelihood ratio. Under the null hypothesis, the wealth of a
//! bet does not grow on average, so a mixture of bets is an e-process. By Ville's inequality, the mixture ever reaches
//! 1/α with a probability of at most α, however often the test is evaluated. The test never bets on a smaller ratio, so
//! it never rejects a new cluster that is better. (The test assumes that errors are rare, as in a Poisson process. If
//! errors are frequent, the true distribution is narrower.)
//!
//! Errors may also come in bursts and are then not independent. The test estimates the correlation of two requests in
//! one window for each cluster, with and without the current window. The larger estimate reduces the bets, because a
//! power below one of a likelihood ratio does not gain more on average. The smaller of the two gains is used.

use super::{RequestCount, Window};

/// The number of ratios to bet on.
const BET_COUNT: u32 = 24;

/// Minimum number of windows for an estimate of the variation between windows.
const MIN_SPREAD_WINDOWS: u32 = 3;

/// The test of the error rates in the windows since the current shares were written.
#[derive(Debug, Clone, PartialEq)]
pub struct RateTest {
    ratio: f64,
    /// The logarithm of the wealth of each bet.
    wealth: Vec<f64>,
    /// The sum of all requests to the old cluster.
    pub old: RequestCount,
    /// The sum of all requests to the new cluster.
    pub new: RequestCount,
    /// The number of windows with requests to both clusters.
    pub windows: u32,
    /// The number of windows in which the new cluster was worse than allowed and that added evidence.
    pub bad: u32,
    spread: (Spread, Spread),
}

impl RateTest {
    /// Creates a test without windows. The new error rate may be `ratio` times the old error rate; `ratio` is above 0.
    pub fn new(ratio: f64) -> Self {
        let wealth = vec![0.0; BET_COUNT as usize];
        Self {
            ratio,
            wealth,
            old: RequestCount::default(),
            new: RequestCount::default(),
            windows: 0,
            bad: 0,
            spread: Default::default(),
        }
    }

    /// Adds a window to the test.
    pub fn add(&mut self, window: Window) {
        if window.new.requests > 0 && window.old.requests > 0 {
            self.bet_on(window);
        }
        self.old = self.old.plus(window.old);
        self.new = self.new.plus(window.new);
    }

    fn bet_on(&mut self, window: Window) {
        let Window { old, new } = window;
        let before = (self.evidence(), self.correlation());
        self.spread.0.add(old);
        self.spread.1.add(new);
        let sizes =
            [before.1, self.correlation()].map(|correlation| 1.0 / inflation(correlation, old.all(), new.all()));
        for (index, wealth) in (0..).zip(&mut self.wealth) {
            let gain = gain(self.ratio, bet_ratio(self.ratio, index), old, new);
            *wealth += (gain * sizes[0]).min(gain * sizes[1]);
        }
        self.windows += 1;
        let worse = new.rate() > self.ratio * self.old.plus(old).rate();
        self.bad += u32::from(worse && self.evidence() > before.0);
    }

    /// Returns the logarithm of the evidence that the new cluster's error rate is higher than allowed. If the error
    /// rate is not higher, the result ever reaches ln(1/α) with a probability of at most α.
    pub fn evidence(&self) -> f64 {
        let most = self.wealth.iter().copied().fold(f64::MIN, f64::max);
        most + (self.wealth.iter().map(|w| (w - most).exp()).sum::<f64>() / f64::from(BET_COUNT)).ln()
    }

    fn correlation(&self) -> f64 {
        self.spread.0.correlation().max(self.spread.1.correlation())
    }
}

/// Returns the ratio of a bet, which is above `allowed`. The quotients of `allowed` and the ratios are distributed
/// evenly from 0 to 1, which is a Beta(1, 1) mixture.
fn bet_ratio(allowed: f64, index: u32) -> f64 {
    allowed * f64::from(BET_COUNT) / (f64::from(index) + 0.5)
}

/// Returns the amount that a window adds to the logarithm of a bet's wealth.
fn gain(allowed: f64, claimed: f64, old: RequestCount, new: RequestCount) -> f64 {
    let part = |ratio: f64| ratio * new.all() / (ratio * new.all() + old.all());
    let (null, claim) = (part(allowed), part(claimed));
    new.failed() * (claim / null).ln() + old.failed() * ((1.0 - claim) / (1.0 - null)).ln()
}

/// Returns the factor, at least 1, by which correlated errors increase the variance of the difference between the
/// clusters, compared with independent errors, in a window with these numbers of requests.
fn inflation(correlation: f64, old: f64, new: f64) -> f64 {
    let of = |requests: f64| 1.0 + (requests - 1.0).max(0.0) * correlation;
    (of(new) + new / old * of(old)) / (1.0 + new / old)
}

/// Statistics of how much a cluster's errors vary between windows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Spread {
    windows: u32,
    total: RequestCount,
    /// The sums of requests², errors², and errors × requests over all windows. They give the squared deviation from any
    /// rate.
    sums: (f64, f64, f64),
}

impl Spread {
    fn add(&mut self, count: RequestCount) {
        let (n, k) = (count.all(), count.failed());
        self.windows += 1;
        self.total = self.total.plus(count);
        self.sums = (self.sums.0 + n * n, self.sums.1 + k * k, self.sums.2 + k * n);
    }

    /// Estimates the correlation of the errors of two requests in one window, 0–1, by the method of moments.
    fn correlation(&self) -> f64 {
        let (rate, requests, (n2, k2, kn)) = (self.total.rate(), self.total.all(), self.sums);
        let pairs = n2 - requests;
        if self.windows < MIN_SPREAD_WINDOWS || rate <= 0.0 || rate >= 1.0 || pairs <= 0.0 {
            return 0.0;
        }
        // The rate is estimated from the same windows, which makes the deviations too small by the factor (w - 1) / w.
        let deviations =
            (k2 - 2.0 * rate * kn + rate * rate * n2) * f64::from(self.windows) / f64::from(self.windows - 1);
        ((deviations / (rate * (1.0 - rate)) - requests) / pairs).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(old: (u64, u64), new: (u64, u64)) -> Window {
        let count = |(requests, errors)| RequestCount { requests, errors };
        Window { old: count(old), new: count(new) }
    }

    fn after(windows: u32, each: Window) -> RateTest {
        let mut rates = RateTest::new(1.5);
        (0..windows).for_each(|_| rates.add(each));
        rates
    }

    #[test]
    fn evidence_grows_only_if_the_new_cluster_is_worse() {
        let worse = after(5, window((540, 5), (60, 6)));
        assert!(worse.evidence() > 100f64.ln() && worse.bad == 5, "{}", worse.evidence());
        for fine in [window((540, 5), (60, 0)), window((540, 5), (60, 1)), window((540, 54), (60, 2))] {
            let rates = after(30, fine);
            assert!(rates.evidence() < 1.0, "{fine:?}: {}", rates.evidence());
        }
        assert!(
            after(30, window((540, 0), (60, 0))).evidence().abs() < 1e-9,
            "windows without errors must add no evidence"
        );
        assert!(
            after(30, window((0, 0), (60, 60))).evidence().abs() < 1e-9,
            "windows without requests to the old cluster must add no evidence"
        );
    }

    /// The average wealth of every bet over all outcomes of one window is exactly 1 at the edge of the null hypothesis,
    /// and less than 1 within the null hypothesis. The same applies to the mixture.
    #[test]
    fn bets_do_not_gain_on_average_under_the_null_hypothesis() {
        let (old, new, errors) = (540.0, 60.0, 8);
        let expected = |true_ratio: f64| -> f64 {
            let part = true_ratio * new / (true_ratio * new + old);
            let mut chance = (1.0 - part).powi(errors);
            (0..=errors)
                .map(|k| {
                    let (k64, rest) = (u64::from(k.unsigned_abs()), u64::from((errors - k).unsigned_abs()));
                    let mut rates = RateTest::new(1.5);
                    rates.add(window((540, rest), (60, k64)));
                    let term = chance * rates.evidence().exp();
                    chance *= f64::from(errors - k) / f64::from(k + 1) * part / (1.0 - part);
                    term
                })
                .sum()
        };
        assert!((expected(1.5) - 1.0).abs() < 1e-9, "{}", expected(1.5));
        assert!(expected(1.0) < 1.0 && expected(3.0) > 1.0);
    }

    #[test]
    fn one_burst_is_less_evidence_than_the_same_errors_in_many_windows() {
        let mut burst = after(9, window((540, 2), (60, 0)));
        burst.add(window((540, 2), (60, 12)));
        let mut spread = RateTest::new(1.5);
        for k in [1, 1, 2, 1, 1, 1, 2, 1, 1, 1] {
            spread.add(window((540, 2), (60, k)));
        }
        assert_eq!(burst.new, spread.new);
        assert!(burst.evidence() < spread.evidence() && burst.bad == 1, "{} {}", burst.evidence(), spread.evidence());
    }
}
