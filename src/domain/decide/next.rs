//! The order of decisions: first what was observed, then what protects the traffic, then what moves it.

use super::context::Context;
use super::decision::{Decision, ProcessOptions};
use super::{freeze, guard, metrics, newer, reconcile, retire, rollback, step_exit, steps};
use crate::domain::run::event::StopReason;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::Phase;

/// Decides. Pure: the same arguments give the same decision.
pub fn decide(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    match next(c, orders) {
        Decision::Wait(waits) => step_exit::decide(c, orders, waits),
        decision => decision,
    }
}

/// Returns the decision, regardless of when this process exits.
fn next(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    if let Some(outcome) = c.state.finished {
        return Decision::Finished(outcome);
    }
    if let Some(Marker::Other(owner)) = &c.observed.marker {
        return Decision::Exit(StopReason::Lock, format!("another run has taken over this load balancer: {owner}"));
    }
    let seen = reconcile::events(c);
    if !seen.is_empty() {
        return Decision::Record(seen);
    }
    if c.state.phase == Phase::RollingBack {
        return rollback::decide(c);
    }
    if c.state.phase == Phase::Retiring {
        let newer = newer::wait(c.plan, c.state).map(|wait| Decision::Wait(vec![wait]));
        return newer.unwrap_or_else(|| retire::decide(c));
    }
    let news = metrics::verdict_changes(c);
    if !news.is_empty() {
        return Decision::Record(news);
    }
    guard::decide(c).or_else(|| freeze::decide(c)).unwrap_or_else(|| steps::decide(c, orders))
}
