//! Converts windows to a verdict with a reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rates::RateTest;
use super::{RequestCount, Window, bound, ranks};
use crate::plan::model::metric::{ErrorRate, Latency};

/// The result of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateResult {
    /// The result `pass`: a share may be raised.
    Pass,
    /// The result `hold`: there is no verdict yet, or the result is unknown. No share may be raised, and no rollback
    /// starts.
    Hold,
    /// The result `fail`: the new cluster must not keep the traffic.
    Fail,
}

/// The result of a gate with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The result of the gate.
    pub result: GateResult,
    /// The reason of the result, with numbers.
    pub why: String,
}

impl Verdict {
    /// Creates a verdict that allows an increase of the share.
    pub fn pass(why: impl Into<String>) -> Self {
        Self { result: GateResult::Pass, why: why.into() }
    }

    /// Creates a verdict without a result yet, or with an unknown result.
    pub fn hold(why: impl Into<String>) -> Self {
        Self { result: GateResult::Hold, why: why.into() }
    }

    /// Creates a verdict that the new cluster must not keep the traffic.
    pub fn fail(why: impl Into<String>) -> Self {
        Self { result: GateResult::Fail, why: why.into() }
    }
}

/// Minimum number of bad windows for a rollback, so that one burst of errors is not enough.
pub const MIN_BAD_WINDOWS: u32 = 3;

/// The number of latest requests to the new cluster, more than half of which must fail for an immediate rollback.
pub const FLOOR_REQUESTS: u64 = 20;

/// The names of the two clusters in the plan, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterNames<'a> {
    /// The name of the old cluster.
    pub old: &'a str,
    /// The name of the new cluster.
    pub new: &'a str,
}

/// Returns the verdict on the error rates in the windows since the current shares were written, oldest first, each
/// `length` long.
pub fn judge_error_rates(
    rule: &ErrorRate,
    min_requests: u64,
    length: Duration,
    windows: &[Window],
    sides: ClusterNames<'_>,
) -> Verdict {
    let mut rates = RateTest::new(rule.ratio);
    for window in windows {
        rates.add(*window);
    }
    let rates_text = describe_rates(&rates, sides);
    if let Some(verdict) = judge_floor(windows, sides) {
        return verdict;
    }
    let (evidence, needed) = (rates.evidence(), (1.0 / rule.alpha).ln());
    if evidence >= needed && rates.bad >= MIN_BAD_WINDOWS {
        let odds = odds_text(evidence);
        return Verdict::fail(format!(
            "{rates_text}: more than {} times the old error rate with odds of {odds} to 1, in {} bad windows",
            rule.ratio, rates.bad
        ));
    }
    let baked = length.saturating_mul(rates.windows);
    if rates.new.requests < min_requests.max(1) {
        return Verdict::hold(format!(
            "{} has answered {} of the {} requests that a verdict needs",
            sides.new,
            rates.new.requests,
            min_requests.max(1)
        ));
    }
    if rates.old.requests == 0 {
        return Verdict::hold(format!("cluster {} has no requests to compare with", sides.old));
    }
    if baked < rule.min_bake {
        let (seen, wanted) = (baked.as_secs(), rule.min_bake.as_secs());
        return Verdict::hold(format!("{rates_text}; compared for {seen}s of the {wanted}s that a verdict needs"));
    }
    let most = bound::max_difference(rates.old, rates.new);
    let bounds = format!(
        "the true error rate can be up to {:.2} percentage points above that of {}; at most {:.2} are allowed",
        most * 100.0,
        sides.old,
        rule.max_difference * 100.0
    );
    if most <= rule.max_difference {
        Verdict::pass(format!("{rates_text}: {bounds}"))
    } else {
        Verdict::hold(format!("{rates_text}: {bounds}"))
    }
}

/// The highest odds that a message names, as a power of ten.
const MOST_ODDS: i32 = 6;

/// Returns the odds for a logarithm of evidence; for very high odds, only that they are higher than a million.
fn odds_text(evidence: f64) -> String {
    let (odds, most) = (evidence.exp(), 10_f64.powi(MOST_ODDS));
    if odds > most { "more than a million".to_owned() } else { format!("{odds:.0}") }
}

/// Returns the verdict if most of the latest requests to the new cluster fail; `None` otherwise.
pub fn judge_floor(windows: &[Window], sides: ClusterNames<'_>) -> Option<Verdict> {
    let Window { old, new } = failing_requests(windows)?;
    let last = format!("{} fails {} of the last {} requests", sides.new, new.errors, new.requests);
    // If both clusters fail, a rollback does not help.
    let both = mostly_fails(old);
    Some(if both { Verdict::hold(format!("{last}, and so does {}", sides.old)) } else { Verdict::fail(last) })
}

/// Returns the sum of the latest windows that together have [`FLOOR_REQUESTS`] requests to the new cluster, if more
/// than half of these requests fail.
fn failing_requests(windows: &[Window]) -> Option<Window> {
    let mut latest = Window::default();
    for window in windows.iter().rev() {
        latest = Window { old: latest.old.plus(window.old), new: latest.new.plus(window.new) };
        if latest.new.requests >= FLOOR_REQUESTS {
            break;
        }
    }
    (latest.new.requests >= FLOOR_REQUESTS && mostly_fails(latest.new)).then_some(latest)
}

fn mostly_fails(count: RequestCount) -> bool {
    count.requests > 0 && count.errors * 2 > count.requests
}

fn describe_rates(rates: &RateTest, sides: ClusterNames<'_>) -> String {
    let side = |name: &str, count: RequestCount| {
        format!("{name} fails {:.2} % of {} requests", count.rate() * 100.0, count.requests)
    };
    format!("{}, {}", side(sides.new, rates.new), side(sides.old, rates.old))
}

/// Returns the verdict on the latencies in the windows since the current shares were written, oldest first. Each window
/// is a pair of quantiles in seconds: (old cluster, new cluster).
pub fn judge_latencies(rule: &Latency, windows: &[(f64, f64)], sides: ClusterNames<'_>) -> Verdict {
    let differences: Vec<f64> = windows.iter().map(|(old, new)| new - rule.ratio * old).collect();
    let Some(ranked) = ranks::judge(&differences, rule.alpha) else {
        return Verdict::hold(format!(
            "measured {} of the {} windows that a verdict needs",
            windows.len(),
            ranks::MIN_WINDOWS
        ));
    };
    let allowed = format!("{} times the latency of {}", rule.ratio, sides.old);
    let median = ranked.median * 1000.0;
    if ranked.fails() {
        let why = format!(
            "{} takes {median:.0} ms more than {allowed} (median of {} windows, p = {:.1e})",
            sides.new, ranked.windows, ranked.probability
        );
        return Verdict::fail(why);
    }
    if median <= 0.0 {
        return Verdict::pass(format!("{} takes at most {allowed} (median of {} windows)", sides.new, ranked.windows));
    }
    Verdict::hold(format!(
        "{} takes {median:.0} ms more than {allowed}; this may be chance (p = {:.1e})",
        sides.new, ranked.probability
    ))
}

/// Returns the verdict on the new cluster's share of the requests, compared with the share in the written weights. The
/// verdict is never `fail`, because a wrong share is not a fault of the new cluster.
pub fn judge_share(
    tolerance: f64,
    min_requests: u64,
    windows: &[Window],
    written: f64,
    advisory: Option<&str>,
    sides: ClusterNames<'_>,
) -> Verdict {
    let all =
        windows.iter().fold(Window::default(), |sum, w| Window { old: sum.old.plus(w.old), new: sum.new.plus(w.new) });
    let requests = all.old.requests + all.new.requests;
    if requests < min_requests.max(1) {
        return Verdict::hold(format!(
            "measured {requests} of the {} requests that a verdict needs",
            min_requests.max(1)
        ));
    }
    let part = RequestCount { requests, errors: all.new.requests };
    let (low, high) = bound::wilson_interval(part);
    let (seen, low, high) = (part.rate() * 100.0, low * 100.0, high * 100.0);
    let share_text =
        format!("{} got {seen:.1} % of {requests} requests; the written share is {written:.1} %", sides.new);
    // With few requests, chance alone may exceed the tolerance. Only a deviation that chance cannot explain counts.
    let within_tolerance = low - tolerance <= written && written <= high + tolerance;
    match advisory {
        _ if within_tolerance => Verdict::pass(share_text),
        Some(why) => Verdict::pass(format!("{share_text}; this does not count here: {why}")),
        None => Verdict::hold(share_text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: ErrorRate =
        ErrorRate { ratio: 1.5, alpha: 0.01, max_difference: 0.01, min_bake: Duration::from_mins(5) };
    const SIDES: ClusterNames<'static> = ClusterNames { old: "a", new: "b" };

    type Pair = ((u64, u64), (u64, u64));

    fn judged(windows: &[Pair]) -> Verdict {
        let count = |(requests, errors)| RequestCount { requests, errors };
        let windows: Vec<Window> =
            windows.iter().map(|(old, new)| Window { old: count(*old), new: count(*new) }).collect();
        judge_error_rates(&RULE, 100, Duration::from_mins(1), &windows, SIDES)
    }

    #[test]
    fn every_verdict_has_a_reason() {
        let assert_verdict = |windows: &[Pair], call: GateResult, words: &str| {
            let verdict = judged(windows);
            assert!(verdict.result == call && verdict.why.contains(words), "{verdict:?}");
        };
        assert_verdict(&[], GateResult::Hold, "b has answered 0 of the 100 requests");
        assert_verdict(&[((0, 0), (0, 0)); 30], GateResult::Hold, "0 of the 100");
        assert_verdict(&[((540, 5), (60, 0)); 3], GateResult::Hold, "compared for 180s of the 300s");
        assert_verdict(&[((0, 0), (600, 6)); 10], GateResult::Hold, "cluster a has no requests to compare with");
        assert_verdict(&[((54, 0), (6, 0)); 20], GateResult::Hold, "are allowed");
        assert_verdict(&[((5400, 54), (600, 6)); 10], GateResult::Pass, "up to 0.30 percentage points above that of");
        assert_verdict(&[((540, 5), (60, 6)); 5], GateResult::Fail, "to 1, in 5 bad windows");
        // Regression test: the highest odds of a computation were shown as a measured number.
        let most = "with odds of more than a million to 1";
        assert_verdict(&[((5400, 0), (600, 200)); 5], GateResult::Fail, most);
        assert_verdict(
            &[((540, 5), (60, 0)), ((540, 5), (60, 40))],
            GateResult::Fail,
            "b fails 40 of the last 60 requests",
        );
        assert_verdict(&[((540, 400), (60, 40))], GateResult::Hold, "and so does a");
        assert_verdict(&[((540, 5), (19, 19))], GateResult::Hold, "19 of the 100");
    }

    #[test]
    fn share_verdict_follows_the_requests() {
        let windows = |new: u64| {
            vec![
                Window {
                    old: RequestCount { requests: 1000 - new, errors: 0 },
                    new: RequestCount { requests: new, errors: 0 }
                };
                4
            ]
        };
        let judge = |new, written, advisory| judge_share(2.0, 500, &windows(new), written, advisory, SIDES);
        assert_eq!(judge(200, 20.0, None).result, GateResult::Pass);
        assert_eq!(judge(50, 20.0, None).result, GateResult::Hold);
        assert!(
            judge(50, 20.0, Some("clients are sticky")).why.ends_with("this does not count here: clients are sticky")
        );
        assert_eq!(
            judge_share(2.0, 500, &[], 20.0, None, SIDES).result,
            GateResult::Hold,
            "without requests the gate must not pass"
        );
    }

    #[test]
    fn latency_verdict_uses_the_median() {
        let rule = Latency { ratio: 1.2, alpha: 0.01 };
        let call = |new: f64, windows: usize| judge_latencies(&rule, &vec![(0.1, new); windows], SIDES).result;
        assert_eq!(
            [call(0.1, 9), call(0.1, 10), call(0.3, 10), call(0.12, 10)],
            [GateResult::Hold, GateResult::Pass, GateResult::Fail, GateResult::Pass]
        );
    }
}
