//! What a plan's steps take in a lab, and which shares hold during them.

use std::time::Duration;

use crate::plan::model::{Plan, Shares, StepKind};

/// How long a live rehearsal takes, in real time, where nobody asked for a speed.
pub const LENGTH: Duration = Duration::from_secs(28);

/// After how much of the lab's time an approval is granted.
pub const APPROVAL: Duration = Duration::from_mins(1);

/// What attaching, binding and the first health checks take in the lab, about.
pub const BIND: Duration = Duration::from_secs(150);

/// What the writes of a step take in the lab, about.
const WRITES: Duration = Duration::from_secs(15);

/// What a plan takes in the lab, about.
pub fn length(plan: &Plan) -> Duration {
    let step = |kind: &StepKind| match kind {
        StepKind::Bind => BIND,
        StepKind::Shares(_) => plan.strategy.settle + WRITES,
        StepKind::Bake(time) => *time,
        StepKind::Approval(_) => APPROVAL,
    };
    plan.strategy.steps.iter().map(|s| step(&s.kind)).sum()
}

/// The speed at which a plan takes about [`LENGTH`], at least 1.
pub fn speed(plan: &Plan) -> f64 {
    (length(plan).as_secs_f64() / LENGTH.as_secs_f64()).max(1.0)
}

/// How long the shares that hold at a step stand, from the step on.
pub fn stands(plan: &Plan, step: usize) -> Duration {
    let after = plan.strategy.steps.iter().filter(|s| s.number > step).map(|s| &s.kind);
    let here = plan.strategy.steps.iter().filter(|s| s.number == step && !matches!(s.kind, StepKind::Shares(_))).map(|s| &s.kind);
    let waits = here.chain(after).map_while(|kind| match kind {
        StepKind::Shares(_) => None,
        StepKind::Bind => Some(BIND),
        StepKind::Bake(time) => Some(*time),
        StepKind::Approval(_) => Some(APPROVAL),
    });
    waits.sum::<Duration>().max(plan.strategy.settle)
}

/// The shares that hold during a step.
pub fn shares(plan: &Plan, step: usize) -> Shares {
    let mut set = plan.strategy.steps.iter().filter(|s| s.number <= step).filter_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some(shares),
        _ => None,
    });
    set.next_back().or(plan.strategy.start.as_ref()).cloned().unwrap_or_default()
}
