//! Decides when `cutover step` may exit: when the run only waits, the time of the process is over, and nothing is in
//! progress.
//!
//! Everything that needs continued observation is in progress: a write without a response, a step that settles, a guard
//! that fails but not yet for the time `for`, a gate that must still pass for some time, a rollback.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::context::Context;
use super::decision::{Decision, ProcessOptions};
use super::{bake, comparison, guard, metrics, newer, steps, way_back};
use crate::domain::health::gate::GuardVerdict;
use crate::domain::run::event::{FreezeReason, StopReason, Wait, WaitReason};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, Route, State};
use crate::plan::model::Plan;

/// Returns the decision to exit, or to wait with these waits.
pub fn decide(c: &Context<'_>, orders: ProcessOptions, waits: Vec<Wait>) -> Decision {
    let Some(exit_after) = orders.exit_after else { return Decision::Wait(waits) };
    let frozen =
        c.state.frozen.as_ref().map_or(StopReason::Waiting, |f| stop_reason_now(f.reason, c.state, c.observed));
    let stops_at = match &c.state.frozen {
        Some(freeze) if frozen != StopReason::Waiting => freeze.since.max(c.observed.since).min(exit_after),
        _ => exit_after,
    };
    if c.now < stops_at || in_progress(c, stops_at, &waits) {
        return Decision::Wait(waits);
    }
    let last = bake::last_bake_record(c).filter(|_| c.state.phase == Phase::Baking);
    last.map_or_else(|| Decision::Exit(frozen, wait_text(frozen, &waits)), |event| Decision::Record(vec![event]))
}

/// Whether the observations of this process and of the previous process, whose last observation was at `last`, count as
/// continuous. If so, time-outs continue; otherwise they start again.
pub fn is_continuous(plan: &Plan, last: Timestamp, now: Timestamp) -> bool {
    plan.strategy.observe_every.is_some_and(|every| now.duration_since(last).unsigned_abs() <= every)
}

/// Returns the stop reason of a process that exits while the run is frozen; [`StopReason::Waiting`] if the run may
/// unfreeze without an operator.
pub fn stop_reason(freeze: FreezeReason) -> StopReason {
    match freeze {
        FreezeReason::Drift => StopReason::Drift,
        FreezeReason::NoWayBack | FreezeReason::GuardFailed | FreezeReason::WriteFailed | FreezeReason::HookFailed => {
            StopReason::Stuck
        }
        FreezeReason::Unreadable | FreezeReason::GateTimeout | FreezeReason::FromUnhealthy | FreezeReason::LockLost => {
            StopReason::Waiting
        }
    }
}

/// Returns the stop reason of a process that leaves a frozen run now. This is the result of [`stop_reason`], except if
/// the old cluster has no healthy target on some route: then an operator must act, because clients get errors.
pub fn stop_reason_now(freeze: FreezeReason, state: &State, observed: &Observed) -> StopReason {
    let dead = |route: &Route| !route.is_deleted() && way_back::has_no_target(state, route, observed);
    match freeze {
        FreezeReason::FromUnhealthy if state.routes.values().any(dead) => StopReason::Stuck,
        freeze => stop_reason(freeze),
    }
}

/// Whether something needs continued observation. `stops_at` is the time at which the process may exit.
fn in_progress(c: &Context<'_>, stops_at: Timestamp, waits: &[Wait]) -> bool {
    let frozen = c.state.frozen.is_some();
    // After the deadline of a write, the next successful reading of any process decides whether the write took effect.
    let open =
        c.state.routes.values().filter_map(|r| r.open_writes.as_ref()).any(|open| open.deadline >= c.now || !frozen);
    let failing = || guard::verdicts(c).iter().any(|(_, _, g)| matches!(g, GuardVerdict::Failing(..)));
    let waits = || waits.iter().any(|wait| needs_observer(wait.reason, frozen));
    // Due measurements are taken before the exit; otherwise a gate would never get a measurement. Later measurements
    // belong to the next process; otherwise a gate with a short interval would keep this process forever.
    let due_by = stops_at.min(c.now);
    let measuring = || !metrics::due_measurements(c.plan, c.state, &BTreeSet::new(), due_by).is_empty();
    // A run that is never raised needs no further measurements.
    let can_raise = newer::unknown_parts(c.plan, c.state).is_none();
    matches!(c.state.phase, Phase::RollingBack)
        || (c.state.phase == Phase::Retiring && can_raise)
        || open
        || waits()
        || comparison::is_reading(c)
        || failing()
        || (can_raise && (measuring() || steps::is_in_progress(c)))
}

/// Whether a wait for this reason needs continued observation.
fn needs_observer(reason: WaitReason, frozen: bool) -> bool {
    match reason {
        WaitReason::OpenWrite
        | WaitReason::Settle
        | WaitReason::GuardFailing
        | WaitReason::Rate
        | WaitReason::Ramp
        | WaitReason::Hook
        | WaitReason::HandOver
        | WaitReason::Journal => true,
        // After one minute of failed readings, the run freezes.
        WaitReason::Unreadable => !frozen,
        WaitReason::RaiseGate
        | WaitReason::MetricGate
        | WaitReason::Compare
        | WaitReason::Window
        | WaitReason::Bake
        | WaitReason::Approval
        | WaitReason::Paused
        | WaitReason::Newer
        | WaitReason::Frozen
        | WaitReason::Binding => false,
    }
}

/// Joins the messages of the waits, each with the end of the wait.
fn wait_text(stop: StopReason, waits: &[Wait]) -> String {
    let until =
        |wait: &Wait| wait.until.map_or(String::new(), |until| format!(", until {}", until.strftime("%F %T UTC")));
    let all: Vec<_> = waits.iter().map(|wait| format!("{}{}", wait.message, until(wait))).collect();
    let all = all.join("; ");
    if stop == StopReason::Waiting { format!("waiting: {all}") } else { all }
}
