//! Decides when `cutover step` may exit: once the run only waits, its time is over, and nothing is in progress.
//!
//! In progress is everything that needs continued observation: a write without an answer, a step that settles, a guard
//! that fails but not yet for long enough, a gate that must pass a while longer, a rollback.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::context::Context;
use super::decision::{Decision, Orders};
use super::{bake, guard, metrics, newer, steps};
use crate::domain::health::gate::Guard;
use crate::domain::run::event::{Freeze, Stop, Wait, WaitReason};
use crate::domain::run::state::Phase;
use crate::plan::model::Plan;

/// Waits, or exits.
pub fn decide(c: &Context<'_>, orders: Orders, waits: Vec<Wait>) -> Decision {
    let Some(leave) = orders.leave else { return Decision::Wait(waits) };
    let frozen = c.state.frozen.as_ref().map_or(Stop::Waiting, |frozen| stop(frozen.reason));
    if (c.now < leave && frozen == Stop::Waiting) || middle(c, &waits) {
        return Decision::Wait(waits);
    }
    let last = bake::last_bake_record(c).filter(|_| c.state.phase == Phase::Baking);
    last.map_or_else(|| Decision::Leave(frozen, words(frozen, &waits)), |event| Decision::Record(vec![event]))
}

/// Whether observations of this process and of the previous one, whose last was at `last`, count as continuous.
/// Time-outs then continue.
pub fn carries_on(plan: &Plan, last: Timestamp, now: Timestamp) -> bool {
    plan.strategy.observe_every.is_some_and(|every| now.duration_since(last).unsigned_abs() <= every)
}

/// The stop reason of a process that exits instead of guarding a frozen run; [`Stop::Waiting`] if the run may unfreeze
/// by itself.
pub fn stop(freeze: Freeze) -> Stop {
    match freeze {
        Freeze::Drift => Stop::Drift,
        Freeze::NoWayBack | Freeze::GuardFailed | Freeze::WriteFailed | Freeze::HookFailed => Stop::Stuck,
        Freeze::Unreadable | Freeze::GateTimeout | Freeze::FromInTrouble | Freeze::LockLost => Stop::Waiting,
    }
}

fn middle(c: &Context<'_>, waits: &[Wait]) -> bool {
    let frozen = c.state.frozen.is_some();
    // A write that can no longer take effect is decided by the next successful reading, of any process.
    let open = c.state.routes.values().filter_map(|r| r.open.as_ref()).any(|open| open.deadline >= c.now || !frozen);
    let failing = || guard::groups(c).iter().any(|(_, _, g)| matches!(g, Guard::Failing(..)));
    let waits = || waits.iter().any(|wait| holds(wait.reason, frozen));
    // Measure what can be measured before the exit; otherwise the gate never gets a measurement.
    let measuring = || !metrics::questions(c.plan, c.state, &BTreeSet::new(), c.now).is_empty();
    // Without raises, no further measurement matters.
    let moves = newer::unknown(c.plan, c.state).is_none();
    matches!(c.state.phase, Phase::RollingBack)
        || (c.state.phase == Phase::Detaching && moves)
        || open
        || waits()
        || failing()
        || (moves && (measuring() || steps::in_motion(c)))
}

/// Whether this wait means that something is in progress.
fn holds(reason: WaitReason, frozen: bool) -> bool {
    match reason {
        WaitReason::OpenWrite
        | WaitReason::Settle
        | WaitReason::GuardFailing
        | WaitReason::Rate
        | WaitReason::Ramp
        | WaitReason::Hook
        | WaitReason::Journal => true,
        // Only for a minute: then the run freezes.
        WaitReason::Unreadable => !frozen,
        WaitReason::RaiseGate
        | WaitReason::MetricGate
        | WaitReason::Window
        | WaitReason::Bake
        | WaitReason::Approval
        | WaitReason::Paused
        | WaitReason::Newer
        | WaitReason::Frozen
        | WaitReason::Binding => false,
    }
}

/// The wait reasons with their ends, as a message.
fn words(stop: Stop, waits: &[Wait]) -> String {
    let until =
        |wait: &Wait| wait.until.map_or(String::new(), |until| format!(", until {}", until.strftime("%F %T UTC")));
    let all: Vec<_> = waits.iter().map(|wait| format!("{}{}", wait.message, until(wait))).collect();
    let all = all.join("; ");
    if stop == Stop::Waiting { format!("waiting: {all}") } else { all }
}
