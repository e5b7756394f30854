//! Measures the sequential test of error rates in thousands of bakes, and compares it with two usual rules, "twice the
//! old side's rate" and "a fixed threshold", each applied every minute.
//!
//! `CUTOVER_VERDICTS=full cargo test --profile simulation --test pure verdicts -- --nocapture` runs 4,000 bakes per
//! row. Without it, a test runs fewer bakes with wider bounds. Every bake has its own seed, and the row prints the
//! range of seeds; the same seed gives the same bake.

mod chance;

use std::time::Duration;

use chance::Chance;
use cutover::domain::metric::verdict::judge::{ClusterNames, GateResult, judge_error_rates};
use cutover::domain::metric::verdict::{RequestCount, Window};
use cutover::plan::model::metric::ErrorRate;

use crate::support::parameter;

/// Requests in a minute, at ten a second; the rules are applied once a minute.
const REQUESTS_PER_MINUTE: f64 = 600.0;
const RULE: ErrorRate = ErrorRate { ratio: 1.5, alpha: 0.01, max_difference: 0.01, min_bake: Duration::from_mins(5) };
const SEED: u64 = 20_261_121;

/// The parameters of one kind of bake.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// The share of the new side, 0 to 1.
    share: f64,
    old: f64,
    new: f64,
    /// The correlation of two errors within one minute and side.
    correlation: f64,
    looks: u32,
}

#[derive(Default)]
struct Tally {
    failed: u32,
    twice: u32,
    fixed: u32,
    promoted: u32,
    looks: u32,
}

fn bakes() -> u32 {
    if parameter::<String>("CUTOVER_VERDICTS").is_some_and(|value| value == "full") { 4000 } else { 400 }
}

impl Row {
    fn minute(&self, chance: &mut Chance) -> Window {
        let mut side = |share: f64, rate: f64| {
            let requests = chance.poisson(REQUESTS_PER_MINUTE * share);
            let rate = if self.correlation > 0.0 { chance.beta(rate, self.correlation) } else { rate };
            RequestCount { requests, errors: chance.binomial(requests, rate) }
        };
        Window { old: side(1.0 - self.share, self.old), new: side(self.share, self.new) }
    }

    fn bake(&self, seed: u64, tally: &mut Tally) {
        let mut chance = Chance::new(seed);
        let mut windows = Vec::new();
        let (mut failed, mut twice, mut fixed, mut promoted) = (false, false, false, false);
        for look in 1..=self.looks {
            let window = self.minute(&mut chance);
            windows.push(window);
            twice |= window.new.requests > 0 && window.new.rate() > 2.0 * window.old.rate();
            fixed |= window.new.rate() > 0.05;
            if !failed {
                let verdict = judge_error_rates(
                    &RULE,
                    100,
                    Duration::from_mins(1),
                    &windows,
                    ClusterNames { old: "a", new: "b" },
                );
                failed = verdict.result == GateResult::Fail;
                promoted |= verdict.result == GateResult::Pass;
                tally.looks += look * u32::from(failed);
            }
        }
        tally.failed += u32::from(failed);
        tally.twice += u32::from(twice);
        tally.fixed += u32::from(fixed);
        tally.promoted += u32::from(promoted);
    }

    /// Runs the bakes. Returns the percentage that the verdict rolled back, and all counts.
    fn run(&self) -> (f64, Tally) {
        let mut tally = Tally::default();
        let bakes = bakes();
        for bake in 0..bakes {
            self.bake(SEED + u64::from(bake), &mut tally);
        }
        let percent = |n: u32| f64::from(n) * 100.0 / f64::from(bakes);
        println!(
            "verdicts: {:<58} {:>6.2} % rolled back{}, by twice the old rate {:>6.2} %, by fixed 5 % {:>6.2} %, passed {:>6.2} %  (seeds {SEED}–{})",
            self.name,
            percent(tally.failed),
            if tally.failed > 0 {
                format!(" after {:.1} min", f64::from(tally.looks) / f64::from(tally.failed))
            } else {
                String::new()
            },
            percent(tally.twice),
            percent(tally.fixed),
            percent(tally.promoted),
            SEED + u64::from(bakes) - 1,
        );
        (percent(tally.failed), tally)
    }
}

/// Returns the limit of a rate in percent: with few bakes, three standard deviations more.
fn at_most(percent: f64) -> f64 {
    let (p, n) = (percent / 100.0, f64::from(bakes()));
    if bakes() >= 4000 { percent } else { (p + 3.0 * (p * (1.0 - p) / n).sqrt()) * 100.0 }
}

fn at_least(percent: f64) -> f64 {
    100.0 - at_most(100.0 - percent)
}

const EQUAL_RATES: Row = Row { name: "", share: 0.1, old: 0.01, new: 0.01, correlation: 0.0, looks: 30 };

#[test]
fn equal_error_rates_are_not_rolled_back() {
    for (name, rate, share) in [
        ("equal, 0.2 % errors, 10 % share, 30 looks", 0.002, 0.1),
        ("equal, 1 % errors, 10 % share, 30 looks", 0.01, 0.1),
        ("equal, 1 % errors, 50 % share, 30 looks", 0.01, 0.5),
    ] {
        let (rolled_back, tally) = Row { name, share, old: rate, new: rate, ..EQUAL_RATES }.run();
        assert!(rolled_back <= at_most(1.0), "{name}: {rolled_back} %");
        assert!(
            tally.twice * 4 > bakes(),
            "the usual rule must be wrong in more than a quarter of the bakes, or the row proves nothing"
        );
    }
    let edge = Row { name: "one and a half times as many errors, which is allowed", new: 0.015, ..EQUAL_RATES };
    assert!(edge.run().0 <= at_most(1.0));
}

#[test]
fn bursts_of_errors_are_not_rolled_back() {
    for (name, rate, share) in [
        ("equal, 0.2 % errors, correlated 0.02, 10 % share, 30 looks", 0.002, 0.1),
        ("equal, 1 % errors, correlated 0.02, 10 % share, 30 looks", 0.01, 0.1),
        ("equal, 1 % errors, correlated 0.02, 50 % share, 30 looks", 0.01, 0.5),
    ] {
        let (rolled_back, _) = Row { name, share, old: rate, new: rate, correlation: 0.02, ..EQUAL_RATES }.run();
        assert!(rolled_back <= at_most(4.0), "{name}: {rolled_back} %");
    }
}

#[test]
fn ten_times_as_many_errors_fail_within_ten_minutes() {
    let row = Row { name: "ten times 1 %, 5 % share, 10 looks", share: 0.05, new: 0.1, looks: 10, ..EQUAL_RATES };
    let (found, tally) = row.run();
    assert!(found >= at_least(95.0), "{found} %");
    assert_eq!(tally.promoted, 0, "no bake may get more traffic before the failure is found");
    // With too little data, the verdict neither fails nor passes in this time.
    let (_, tally) =
        Row { name: "ten times 0.2 %, 5 % share, 10 looks: too few errors", old: 0.002, new: 0.02, ..row }.run();
    assert!(
        f64::from(tally.promoted) * 100.0 / f64::from(bakes()) <= at_most(2.0),
        "{} bakes got more traffic",
        tally.promoted
    );
    let later = Row { name: "ten times 0.2 %, 5 % share, 30 looks", old: 0.002, new: 0.02, looks: 30, ..row };
    assert!(later.run().0 >= at_least(90.0));
}

#[test]
fn a_side_that_fails_most_requests_fails_in_the_first_minute() {
    for (name, share) in [("60 % fail, 5 % share, 1 look", 0.05), ("60 % fail, 10 % share, 1 look", 0.1)] {
        let (found, _) = Row { name, share, new: 0.6, looks: 1, ..EQUAL_RATES }.run();
        // With thirty requests a minute at 5 %, the rate is sometimes half or less by chance; one minute later all of
        // them have failed.
        assert!(found >= at_least(80.0), "{name}: {found} %");
        let (found, _) = Row { name: "   the same, 75 %", share, new: 0.75, looks: 1, ..EQUAL_RATES }.run();
        assert!(found >= at_least(95.0), "{name}: {found} %");
    }
}

#[test]
fn missing_data_never_passes() {
    for (name, share, requests) in
        [("no requests at all", 0.1, 0.0), ("nobody reaches the new side", 0.0, REQUESTS_PER_MINUTE)]
    {
        let windows: Vec<Window> = (0..1000)
            .map(|_| Window {
                old: RequestCount { requests: chance::whole(requests * (1.0 - share)), errors: 0 },
                new: RequestCount { requests: chance::whole(requests * share), errors: 0 },
            })
            .collect();
        for seen in 0..windows.len() {
            let verdict = judge_error_rates(
                &RULE,
                0,
                Duration::from_mins(1),
                &windows[..seen],
                ClusterNames { old: "a", new: "b" },
            );
            assert_eq!(verdict.result, GateResult::Hold, "{name}: {verdict:?}");
        }
        println!("verdicts: {name:<58}   held for 1000 looks");
    }
}
