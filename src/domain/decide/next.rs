//! Defines the order of decisions: record observations, then protect the traffic, then move the traffic.

use super::context::Context;
use super::decision::{Decision, ProcessOptions};
use super::{comparison, freeze, guard, metrics, newer, reconcile, retire, rollback, step_exit, steps};
use crate::domain::run::event::StopReason;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::Phase;

/// Returns the next decision for a run. The same arguments always give the same decision.
pub fn decide(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    match next(c, orders) {
        Decision::Wait(waits) => step_exit::decide(c, orders, waits),
        decision => decision,
    }
}

/// Returns the next decision without the rules of `cutover step` for exiting.
fn next(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    if let Some(outcome) = c.state.finished {
        return Decision::Finished(outcome);
    }
    if let Some(Marker::Other(owner)) = &c.observed.marker {
        return Decision::Exit(StopReason::Lock, format!("another process has taken over this load balancer: {owner}"));
    }
    let observed_events = reconcile::events(c);
    if !observed_events.is_empty() {
        return Decision::Record(observed_events);
    }
    if c.state.phase == Phase::RollingBack {
        return rollback::decide(c);
    }
    if c.state.phase == Phase::Retiring {
        let newer = newer::wait(c.plan, c.state).map(|wait| Decision::Wait(vec![wait]));
        return newer.unwrap_or_else(|| retire::decide(c));
    }
    let verdict_changes: Vec<_> = metrics::verdict_changes(c).into_iter().chain(comparison::change(c)).collect();
    if !verdict_changes.is_empty() {
        return Decision::Record(verdict_changes);
    }
    guard::decide(c).or_else(|| freeze::decide(c)).unwrap_or_else(|| steps::decide(c, orders))
}
