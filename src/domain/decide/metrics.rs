//! Evaluates the metric gates of a run: which gates are in force, which measurements are due, and the verdicts.
//! Statistics belong in `metric::verdict`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::context::Context;
pub use super::context::shares_changing;
use super::{comparison, desired_split, floors};
use crate::domain::metric::gate::{self as metric, GateContext, MeasurementRequest, QueriedCluster};
use crate::domain::metric::verdict::judge::{ClusterNames, GateResult, Verdict};
use crate::domain::run::event::{Event, Wait, WaitReason};
use crate::domain::run::state::{Phase, State};
use crate::domain::traffic::FoundRoute;
use crate::plan::model::metric::{GateScope, MetricGate};
use crate::plan::model::{Plan, StepKind};

/// Returns the gates that are in force now.
pub fn in_force<'a>(plan: &'a Plan, state: &State) -> Vec<&'a MetricGate> {
    let is_over = matches!(state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished);
    if is_over || plan.strategy.metrics.is_empty() {
        return Vec::new();
    }
    let has_traffic = has_traffic(state, &plan.strategy.to);
    let mut gates: Vec<_> = plan.strategy.metrics.iter().collect();
    gates.retain(|gate| (has_traffic || !gate.of_traffic()) && in_scope(plan, state, gate));
    gates
}

/// Whether a gate is in force at the current step. A gate of a step is in force during the step. A guard of a share
/// step is also in force as long as the shares of the step are in effect.
fn in_scope(plan: &Plan, state: &State, gate: &MetricGate) -> bool {
    let GateScope::Step(number) = gate.scope else { return true };
    let during_step = state.step == number && state.phase != Phase::Ready;
    let not_yet_settled = state.phase == Phase::Ready || (state.phase == Phase::Shifting && !state.settled);
    let share_step = desired_split::share_step_at(plan, state.step.saturating_sub(usize::from(not_yet_settled)))
        .map(|(share_step, _)| share_step);
    during_step || (gate.guard && share_step == Some(number))
}

/// Whether a cluster has traffic, or may have traffic because of a write without a response.
fn has_traffic(state: &State, cluster: &str) -> bool {
    state.groups_with_traffic().keys().any(|arn| state.started.groups.get(arn).is_some_and(|g| g.cluster == cluster))
}

/// Whether a gate guards nothing now, because it needs traffic of the old cluster, and the old cluster has no traffic
/// any more.
pub fn has_nothing_to_compare(plan: &Plan, state: &State, gate: &MetricGate) -> bool {
    gate.needs_old_traffic() && !has_traffic(state, &plan.strategy.from)
}

/// Whether a measurement is of the current shares, or counts for the floors while they settle.
pub fn is_current(plan: &Plan, state: &State, request: &MeasurementRequest) -> bool {
    match floors::since(plan, state) {
        Some(since) => request.from >= since && floors::applies(&request.gate),
        None => request.to >= state.shares_since && !shares_changing(plan, state),
    }
}

/// Returns the measurements that are due now, except measurements of gates in `busy`, which are already being measured.
pub fn due_measurements(
    plan: &Plan,
    state: &State,
    busy: &BTreeSet<String>,
    now: Timestamp,
) -> Vec<MeasurementRequest> {
    let floors = floors::since(plan, state);
    if shares_changing(plan, state) && floors.is_none() {
        return Vec::new();
    }
    let gates = in_force(plan, state).into_iter().filter(|gate| !busy.contains(&gate.name));
    let gates = gates.filter(|gate| floors.is_none() || floors::applies(gate));
    let ask = |gate: &MetricGate| {
        let since =
            floors.unwrap_or(state.shares_since).max(if matches!(gate.scope, GateScope::Step(n) if n == state.step) {
                state.step_since
            } else {
                Timestamp::MIN
            });
        let back = plan.strategy.observe_every.unwrap_or_default();
        let (from, to) =
            MeasurementRequest::next_window(gate, state.measurements(&gate.name).last(), since, back, now)?;
        let side = |cluster: &str| side(state, gate, cluster);
        Some(MeasurementRequest {
            gate: gate.clone(),
            from,
            to,
            old: side(&plan.strategy.from),
            new: side(&plan.strategy.to),
        })
    };
    gates.filter_map(ask).collect()
}

fn side(state: &State, gate: &MetricGate, cluster: &str) -> QueriedCluster {
    let concerned = |workload: &str| !matches!(&gate.scope, GateScope::Workload(name) if name != workload);
    let routes = state.routes.values().filter(|r| concerned(&r.start.workload));
    let groups: BTreeSet<_> =
        routes.filter_map(|r| Some((r.start.groups.get(cluster)?.clone(), r.start.load_balancer.clone()))).collect();
    QueriedCluster { cluster: cluster.to_owned(), groups: groups.into_iter().collect() }
}

/// Returns the verdict of a gate now.
pub fn verdict(c: &Context<'_>, gate: &MetricGate) -> Verdict {
    let sides = ClusterNames { old: &c.plan.strategy.from, new: &c.plan.strategy.to };
    let gate_context = GateContext { sides, written: confirmed_share(c.plan, c.state), advisory: share_caveat(c) };
    metric::verdict(gate, floors::divide(c, gate).0, &gate_context, c.now)
}

/// Returns the largest confirmed share of the new cluster on any route, in percent.
fn confirmed_share(plan: &Plan, state: &State) -> f64 {
    let shares = state.routes.values().filter(|r| !r.is_deleted()).map(|r| desired_split::shares_of(r, r.split()));
    shares.filter_map(|s| s.get(&plan.strategy.to).copied()).fold(0.0, f64::max)
}

/// Returns why the request counts of the groups do not correspond to the shares; `None` if they do.
fn share_caveat(c: &Context<'_>) -> Option<String> {
    if let Some(route) = c.state.routes.values().find(|r| r.start.content.sticky().is_some()) {
        return Some(format!("{} has stickiness: clients stay with their target group", route.start.label));
    }
    let is_group_of_run = |arn: &str| c.state.started.groups.contains_key(arn);
    let feeds =
        |live: &FoundRoute| live.content.split.members.iter().any(|m| m.weight != Some(0) && is_group_of_run(&m.id));
    let other = c.observed.census.iter().find(|route| !c.state.routes.contains_key(&route.id) && feeds(route))?;
    Some(format!("{} sends requests to the same groups and is not part of the run", other.label))
}

/// Returns events that record changed verdicts with their reasons.
pub fn verdict_changes(c: &Context<'_>) -> Vec<Event> {
    if shares_changing(c.plan, c.state) {
        return Vec::new();
    }
    let gates = in_force(c.plan, c.state).into_iter();
    let changed = gates.filter_map(|gate| {
        let last = c.state.last_verdict(&gate.name);
        let Verdict { result, why } = verdict(c, gate);
        // There is no verdict before the first measurement.
        let new = last != Some(result) && !(last.is_none() && c.state.measurements(&gate.name).is_empty());
        new.then(|| Event::VerdictChanged { gate: gate.name.clone(), verdict: result, why, dry_run: gate.dry_run })
    });
    changed.collect()
}

/// Returns the verdicts that an approver sees, such as `; gate errors passes`. The text has no numbers, because they
/// change with every measurement.
pub fn verdicts_in_words(c: &Context<'_>) -> String {
    let word = |gate: &MetricGate| match verdict(c, gate).result {
        _ if c.state.measurements(&gate.name).is_empty() => "is not asked yet",
        GateResult::Pass => "passes",
        GateResult::Hold => "holds",
        GateResult::Fail => "fails",
    };
    let gates = in_force(c.plan, c.state).into_iter().filter(|gate| !gate.dry_run);
    let metrics = gates.map(|gate| format!("; gate {} {}", gate.name, word(gate))).collect::<Vec<_>>().concat();
    metrics + &comparison::in_words(c)
}

/// Returns the name of the first guard that failed, and why.
pub fn failed_guard(c: &Context<'_>) -> Option<(String, String)> {
    let gates = in_force(c.plan, c.state).into_iter().filter(|g| g.guard && !g.dry_run);
    gates
        .map(|gate| (gate, floors::failure(c, gate).unwrap_or_else(|| verdict(c, gate))))
        .find(|(_, v)| v.result == GateResult::Fail)
        .map(|(gate, v)| (gate.name.clone(), v.why))
}

/// Returns waits for the gates that do not pass, but must pass before the current step continues; empty if all pass.
pub fn unmet_metric_gates(c: &Context<'_>) -> Vec<Wait> {
    // A bake requires only the gates of its step. A step that lowers the share of the new cluster requires no gates.
    let own = match c.step_kind() {
        Some(StepKind::Bake(_) | StepKind::Exec(_) | StepKind::HandOver(_)) => true,
        Some(StepKind::Shares(shares))
            if f64::from(shares.get(&c.plan.strategy.to).copied().unwrap_or(0))
                > confirmed_share(c.plan, c.state) + 1e-9 =>
        {
            false
        }
        Some(
            StepKind::Bind | StepKind::Shares(_) | StepKind::Approval(_) | StepKind::HeaderRoute(_) | StepKind::Unknown,
        )
        | None => return Vec::new(),
    };
    let gates = in_force(c.plan, c.state).into_iter().filter(|g| g.raise && !g.dry_run);
    let gates = gates.filter(|g| !own || g.scope == GateScope::Step(c.state.step));
    let waits = gates.filter_map(|gate| {
        let Verdict { result, why } = verdict(c, gate);
        let message = || {
            format!(
                "gate {} {}: {why}",
                gate.name,
                if result == GateResult::Fail { "fails" } else { "does not pass yet" }
            )
        };
        (result != GateResult::Pass).then(|| Wait { reason: WaitReason::MetricGate, message: message(), until: None })
    });
    waits.collect()
}
