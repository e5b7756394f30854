//! How long the steps of a plan take in a lab, and which shares apply during each step.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::hours::earliest_fit;
use crate::base::time::{earlier, later};
use crate::plan::model::{Plan, Shares, StepKind};
use crate::plan::schedule;

/// How long a live rehearsal takes, in real time, if no speed is given.
pub const LIVE_DURATION: Duration = Duration::from_secs(28);

/// Time until an approval is granted, in the lab's time.
pub const APPROVAL_DELAY: Duration = Duration::from_mins(1);

/// Approximate time for attaching, binding and the first health checks, in the lab's time.
pub const BIND_DURATION: Duration = Duration::from_secs(150);

/// Approximate duration of a hand-over, in the lab's time.
const HAND_OVER_DURATION: Duration = Duration::from_mins(2);
/// Approximate time for the writes of a step, in the lab's time.
const WRITE_DURATION: Duration = Duration::from_secs(15);

/// Returns the approximate duration of a plan, in the lab's time.
pub fn length(plan: &Plan) -> Duration {
    let step = |kind: &StepKind| match kind {
        StepKind::Bind => BIND_DURATION,
        StepKind::Shares(_) => plan.strategy.longest_settle + WRITE_DURATION,
        StepKind::Bake(time) => *time,
        StepKind::Approval(_) => APPROVAL_DELAY,
        StepKind::HeaderRoute(_) => plan.strategy.settle + WRITE_DURATION,
        StepKind::HandOver(_) => HAND_OVER_DURATION,
        StepKind::Exec(_) | StepKind::Unknown => Duration::ZERO,
    };
    plan.runs().iter().flat_map(|run| &run.strategy.steps).map(|s| step(&s.kind)).sum()
}

/// Returns the start time of a rehearsal that could start at `at`. If the plan's hours delay the first raise, this time
/// is close enough to the raise that attaching and binding finish just before it.
pub fn start_time(plan: &Plan, at: Timestamp) -> Timestamp {
    let first_run = plan.runs().into_iter().next();
    let plan = first_run.as_ref().unwrap_or(plan);
    let routes = schedule::expected_routes(&plan.workloads);
    let first = plan.strategy.steps.iter().find(|s| schedule::raises(&plan.strategy, s.number));
    let opens = first.and_then(|s| schedule::earliest_starts(plan, at, routes).get(s.number - 1).copied());
    opens.map_or(at, |opens| earlier(opens, BIND_DURATION * 4).max(at))
}

/// Returns the approximate time that the plan's hours add if the run starts at `at`.
fn added_by_hours(plan: &Plan, at: Timestamp) -> Duration {
    plan.runs().iter().map(|run| added_to_run(run, at)).sum()
}

fn added_to_run(plan: &Plan, at: Timestamp) -> Duration {
    let routes = schedule::expected_routes(&plan.workloads);
    let end = schedule::earliest_starts(plan, at, routes)
        .last()
        .map_or(Duration::ZERO, |end| end.duration_since(at).unsigned_abs());
    end.saturating_sub(schedule::min_duration(plan, routes))
}

/// Returns the speed at which a plan that starts at `at` takes about [`LIVE_DURATION`] of real time; at least 1.
pub fn speed(plan: &Plan, at: Timestamp) -> f64 {
    ((length(plan) + added_by_hours(plan, at)).as_secs_f64() / LIVE_DURATION.as_secs_f64()).max(1.0)
}

/// Returns how long the shares stay after a step that starts at `at`.
pub fn share_duration(plan: &Plan, step: usize, at: Timestamp) -> Duration {
    let after = plan.strategy.steps.iter().filter(|s| s.number > step).map(|s| &s.kind);
    let here = plan
        .strategy
        .steps
        .iter()
        .filter(|s| s.number == step && !matches!(s.kind, StepKind::Shares(_)))
        .map(|s| &s.kind);
    let waits = here.chain(after).map_while(|kind| match kind {
        StepKind::Shares(_) => None,
        StepKind::Bind => Some(BIND_DURATION),
        StepKind::Bake(time) => Some(*time),
        StepKind::Approval(_) => Some(APPROVAL_DELAY),
        StepKind::HeaderRoute(_) => Some(plan.strategy.settle + WRITE_DURATION),
        StepKind::HandOver(_) => Some(HAND_OVER_DURATION),
        StepKind::Exec(_) | StepKind::Unknown => Some(Duration::ZERO),
    });
    let long = waits.sum::<Duration>().max(plan.strategy.longest_settle);
    // Add the time until the plan's hours permit the next raise.
    let routes = schedule::expected_routes(&plan.workloads);
    let next = plan.strategy.steps.iter().find(|s| s.number > step && schedule::raises(&plan.strategy, s.number));
    let over = later(at, long);
    let opens = next.and_then(|s| {
        earliest_fit(&plan.strategy.hours, over, schedule::min_duration_with_pauses(&plan.strategy, s.number, routes))
    });
    opens.map_or(long, |opens| opens.duration_since(at).unsigned_abs())
}

/// Returns the shares that apply during a step.
pub fn shares(plan: &Plan, step: usize) -> Shares {
    let mut set = plan.strategy.steps.iter().filter(|s| s.number <= step).filter_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some(shares),
        _ => None,
    });
    set.next_back().or(plan.strategy.start.as_ref()).cloned().unwrap_or_default()
}
