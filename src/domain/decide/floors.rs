//! Judges whether most requests to the new cluster fail while a step settles. Ordinary verdicts begin when the step has
//! settled. On routes that settle for minutes, that would be too late for a cluster that answers nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::context::{Context, shares_changing};
use crate::base::time::later;
use crate::domain::metric::gate::{self as metric, Measurement};
use crate::domain::metric::verdict::judge::{ClusterNames, Verdict};
use crate::domain::run::state::State;
use crate::plan::model::Plan;
use crate::plan::model::metric::{GateCondition, MetricGate};

/// The time from a write until its traffic is judged by the floors.
const DELAY: Duration = Duration::from_secs(30);

/// Returns the time since which the traffic counts for the floors: while the writes of a step settle on a route with
/// its own settle time. `None` at any other time.
pub(super) fn since(plan: &Plan, state: &State) -> Option<Timestamp> {
    let own = state.routes.values().any(|route| route.applied_at.is_some() && route.start.settle.is_some());
    let settling = own && !state.settled && shares_changing(plan, state);
    state.last_applied().filter(|_| settling).map(|written| later(written, DELAY))
}

/// Whether a gate has a floor: it compares error rates.
pub(super) fn applies(gate: &MetricGate) -> bool {
    gate.guard && matches!(gate.condition, GateCondition::ErrorRate(_))
}

/// Divides the measurements of a gate into the measurements of the previous shares, and those that count for the
/// floors.
pub(super) fn divide<'a>(c: &Context<'a>, gate: &MetricGate) -> (&'a [Measurement], &'a [Measurement]) {
    let all = c.state.measurements(&gate.name);
    match since(c.plan, c.state) {
        Some(since) => all.split_at(all.partition_point(|measured| measured.from < since)),
        None => (all, &[]),
    }
}

/// Returns the verdict of a gate's floor, if the gate fails by it.
pub(super) fn failure(c: &Context<'_>, gate: &MetricGate) -> Option<Verdict> {
    let sides = ClusterNames { old: &c.plan.strategy.from, new: &c.plan.strategy.to };
    metric::floor(gate, divide(c, gate).1, sides)
}
