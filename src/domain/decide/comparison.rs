//! The compare gate: when both clusters are read again, and which raises wait. This module uses only verdicts; the
//! rules are in `domain::compare`.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::desired_split;
use crate::base::duration;
use crate::base::time::{later, signed};
use crate::domain::run::comparison::{Compared, Comparison};
use crate::domain::run::event::{Event, Wait, WaitReason};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, Route, State};
use crate::plan::model::{CompareGate, Plan, StepKind};

/// Returns the compare gate, if it is in force now: the plan has one, and the run may still raise the new cluster.
pub fn in_force<'a>(plan: &'a Plan, state: &State) -> Option<&'a CompareGate> {
    let is_over = matches!(state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished);
    plan.strategy.compare.as_ref().filter(|_| !is_over && will_raise(plan, state))
}

/// Whether the current step or a later one raises the new cluster on a route.
fn will_raise(plan: &Plan, state: &State) -> bool {
    let to = &plan.strategy.to;
    let share = |route: &Route| desired_split::shares_of(route, route.split()).get(to).copied().unwrap_or(0.0);
    let routes = state.routes.values().filter(|route| !route.is_deleted());
    let lowest = routes.map(share).fold(f64::INFINITY, f64::min);
    let steps = plan.strategy.steps.iter().filter(|step| step.number >= state.step);
    let shares = steps.filter_map(|step| match &step.kind {
        StepKind::Shares(shares) => shares.get(to).copied(),
        _ => None,
    });
    shares.max().is_some_and(|highest| f64::from(highest) > lowest + 1e-9)
}

/// Whether both clusters must be read now.
pub fn due(plan: &Plan, state: &State, observed: &Observed, now: Timestamp) -> bool {
    in_force(plan, state).is_some_and(|gate| fresh(gate, observed, now).is_none())
}

/// The time after which clusters that could not be read are read again.
const RETRY: Duration = Duration::from_mins(1);

/// Returns the last comparison if it is recent enough for a raise.
fn fresh<'a>(gate: &CompareGate, observed: &'a Observed, now: Timestamp) -> Option<&'a Compared> {
    let compared = observed.compared.as_ref()?;
    let valid = interval(gate, &compared.comparison);
    Some(compared).filter(|compared| now.duration_since(compared.at) <= signed(valid))
}

/// Returns the time after which both clusters are compared again.
fn interval(gate: &CompareGate, comparison: &Comparison) -> Duration {
    let unread = !comparison.allows_raises() && comparison.errors == 0;
    if unread { gate.every.min(RETRY) } else { gate.every }
}

/// Returns when both clusters are compared again; `None` if this process has no comparison yet, or if the gate is not
/// in force.
pub fn next(plan: &Plan, state: &State, observed: &Observed) -> Option<Timestamp> {
    let gate = in_force(plan, state)?;
    let compared = observed.compared.as_ref()?;
    Some(later(compared.at, interval(gate, &compared.comparison)))
}

/// Whether a raise waits only until both clusters have been read.
pub fn is_reading(c: &Context<'_>) -> bool {
    let waits = c.state.phase == Phase::Shifting && !c.state.raises_stopped();
    waits && due(c.plan, c.state, c.observed, c.now)
}

/// Returns the event that records a changed verdict.
pub fn change(c: &Context<'_>) -> Option<Event> {
    in_force(c.plan, c.state)?;
    let comparison = &c.observed.compared.as_ref()?.comparison;
    (c.state.comparison.as_ref() != Some(comparison)).then(|| Event::Compared(comparison.clone()))
}

/// Returns why a raise of these groups must wait; `None` if it may be written. Only raises of the new cluster wait.
pub fn unmet(c: &Context<'_>, groups: &[String]) -> Option<Wait> {
    let gate = in_force(c.plan, c.state)?;
    let is_new = |group: &String| c.state.started.groups.get(group).is_some_and(|g| g.cluster == c.plan.strategy.to);
    if !groups.iter().any(is_new) {
        return None;
    }
    let message = match &c.observed.compared {
        // While the clusters are read again, the reason of the last comparison stays.
        Some(Compared { at, comparison }) if !comparison.allows_raises() => {
            let every = duration::format_exact(interval(gate, comparison));
            let next = later(*at, interval(gate, comparison)).strftime("%F %T UTC");
            format!(
                "gate compare holds: {}; compared again every {every}, next at {next}; all findings: cutover compare PLAN",
                comparison.reason()
            )
        }
        Some(_) if fresh(gate, c.observed, c.now).is_some() => return None,
        _ => format!("gate compare: reading {} and {}", c.plan.strategy.from, c.plan.strategy.to),
    };
    Some(Wait { reason: WaitReason::Compare, message, until: None })
}

/// Returns the verdict that an approver sees, such as `; gate compare passes`. Empty if the gate is not in force.
pub fn in_words(c: &Context<'_>) -> String {
    let Some(_) = in_force(c.plan, c.state) else { return String::new() };
    let word = match c.observed.compared.as_ref().map(|compared| compared.comparison.allows_raises()) {
        None => "is not asked yet",
        Some(true) => "passes",
        Some(false) => "holds",
    };
    format!("; gate compare {word}")
}
