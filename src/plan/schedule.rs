//! Computes how long a plan's steps take, which steps raise a share, and when each step may begin. All functions are
//! pure and use the checked plan. The parameter `routes` is the number of routes that a step writes, because the rate
//! of writes ([`WRITE_RATE`]) is limited.

use std::time::Duration;

use jiff::Timestamp;

use super::model::{Plan, Shares, Step, StepKind, Strategy, Workload};
use crate::base::hours::{Hours, earliest_fit};
use crate::base::rate::WRITE_RATE;
use crate::base::time::later;

/// Returns the minimum duration of a step and the pauses after it, up to the next step that moves a share. Approvals
/// and commands count as zero.
pub fn min_duration_with_pauses(strategy: &Strategy, number: usize, routes: usize) -> Duration {
    let after = strategy.steps.iter().skip(number).take_while(|s| !matches!(s.kind, StepKind::Shares(_)));
    WRITE_RATE.min_duration(routes)
        + strategy.longest_settle
        + after.map(|s| min_step_duration(strategy, s, routes)).sum::<Duration>()
}

/// Returns the minimum duration of a step.
pub fn min_step_duration(strategy: &Strategy, step: &Step, routes: usize) -> Duration {
    match step.kind {
        StepKind::Bind | StepKind::Shares(_) => WRITE_RATE.min_duration(routes) + strategy.longest_settle,
        StepKind::HeaderRoute(_) => WRITE_RATE.min_duration(routes) + strategy.settle,
        StepKind::Bake(time) => time,
        StepKind::Approval(_) | StepKind::Exec(_) | StepKind::HandOver(_) | StepKind::Unknown => Duration::ZERO,
    }
}

/// Returns the minimum duration of all steps. Approvals and gates take additional time.
pub fn min_duration(plan: &Plan, routes: usize) -> Duration {
    plan.strategy.steps.iter().map(|step| min_step_duration(&plan.strategy, step, routes)).sum()
}

/// Returns the number of routes that a plan declares: the sum of its `expect` fields; 0 if it has none.
pub fn expected_routes(workloads: &[Workload]) -> usize {
    workloads.iter().flat_map(|w| &w.routes).filter_map(|entry| entry.expect).sum()
}

/// Returns the longest settle time of a plan's routes. A route that does not set a settle time has `settle`.
pub fn longest_settle(workloads: &[Workload], settle: Duration) -> Duration {
    let routes = workloads.iter().flat_map(|w| &w.routes);
    routes.map(|entry| entry.settle.unwrap_or(settle)).max().unwrap_or(settle)
}

/// Whether a step gives a cluster a larger share than the cluster has before the step and had at the start. Steps that
/// only return traffic do not wait for a window.
pub fn raises(strategy: &Strategy, number: usize) -> bool {
    let shares = |step: &Step| if let StepKind::Shares(shares) = &step.kind { Some(shares.clone()) } else { None };
    let Some(then) = strategy.steps.get(number.wrapping_sub(1)).and_then(shares) else { return false };
    let before = strategy.steps.iter().take(number - 1).rev().find_map(shares).or_else(|| strategy.start.clone());
    let of = |all: &Option<Shares>, cluster: &str| all.as_ref().and_then(|s| s.get(cluster)).copied().unwrap_or(0);
    then.iter().any(|(cluster, share)| *share > of(&before, cluster).max(of(&strategy.start, cluster)))
}

/// A Monday at 00:00 UTC. Windows repeat every week, so any week gives the same result.
const SOME_WEEK: Timestamp = Timestamp::constant(1_767_571_200, 0);

/// Returns each step that fits into no window together with the pauses after it. The duration is the duration of the
/// step and these pauses.
pub fn steps_without_window(strategy: &Strategy, routes: usize) -> Vec<(&Step, Duration)> {
    let weekly = Hours { windows: strategy.hours.windows.clone(), ..Hours::default() };
    let raises = strategy.steps.iter().filter(|step| raises(strategy, step.number));
    let long = raises.map(|step| (step, min_duration_with_pauses(strategy, step.number, routes)));
    long.filter(|(_, long)| earliest_fit(&weekly, SOME_WEEK, *long).is_none()).collect()
}

/// Returns the earliest start of each step of a plan that begins at `at`, followed by the end of the plan. The list
/// ends early if a step does not fit into any window.
pub fn earliest_starts(plan: &Plan, at: Timestamp, routes: usize) -> Vec<Timestamp> {
    earliest_starts_from(plan, 1, at, routes)
}

/// Returns the earliest starts of a run that begins with the step `first`, counted from 1: those of this step and the
/// later ones, and the end.
pub fn earliest_starts_from(plan: &Plan, first: usize, at: Timestamp, routes: usize) -> Vec<Timestamp> {
    let strategy = &plan.strategy;
    let mut time = strategy.hours.not_before.map_or(at, |first| first.max(at));
    let mut times = Vec::new();
    for step in strategy.steps.iter().skip(first.saturating_sub(1)) {
        if raises(strategy, step.number) {
            let Some(begins) =
                earliest_fit(&strategy.hours, time, min_duration_with_pauses(strategy, step.number, routes))
            else {
                return times;
            };
            time = begins;
        }
        times.push(time);
        time = later(time, min_step_duration(strategy, step, routes));
    }
    times.push(time);
    times
}
