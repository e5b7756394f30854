//! Checks the strategy (`from`, `to`, gates and steps), and converts it to the model.

use super::{
    Diagnostic, Placed, PlanContext, UniqueValues, compare, hand_over, header_route, hooks, hours, is_shares, note,
};
use crate::base::duration;
use crate::base::finding::Code;
use crate::plan::decode::{Table, list};
use crate::plan::file::{Pause, Step, Strategy, TargetHealth};
use crate::plan::model::metric::{GateScope, MetricGate};
use crate::plan::model::{
    self, ApprovalTimeout, GuardGate, OnFailure, OnTimeout, RaiseGate, RollbackStickiness, Shares, StepKind,
    TargetHealthGates,
};
use crate::plan::scalar::{Percent, Reaction, Stickiness};
use crate::plan::schedule;
use crate::plan::time::ApprovalReaction;

pub(super) fn strategy(
    strategy: &Strategy,
    scope: &PlanContext,
    metrics: Vec<MetricGate>,
    workloads: &[model::Workload],
    out: &mut Vec<Diagnostic>,
) -> Option<model::Strategy> {
    let direction = direction(strategy, scope, out);
    let gates = strategy.gates.as_ref().and_then(|g| g.value.target_health.as_ref()).and_then(|t| gates(&t.value, out));
    let start =
        direction.as_ref().filter(|_| has_set_weight(strategy)).map(|direction| shares_toward(scope, direction, 0));
    let steps = strategy.steps.as_ref().map(|s| steps(s, scope, direction.as_ref(), start.as_ref(), workloads, out));
    let hooks = hooks::all(strategy, out);
    let before = out.len();
    let hours = hours::hours(strategy, out);
    let hours_complete = out.len() == before && strategy.windows.as_ref().is_none_or(|all| all.complete);
    let Direction { from, to, .. } = direction?;
    let settle = strategy.settle.as_ref()?.value.0;
    let checked = model::Strategy {
        from,
        to,
        settle,
        longest_settle: schedule::longest_settle(workloads, settle),
        on_failure: reaction(strategy.on_failure.as_ref()?.value),
        rollback_stickiness: match strategy.rollback.as_ref()?.value.stickiness.as_ref()?.value {
            Stickiness::Break => RollbackStickiness::Break,
            Stickiness::Keep => RollbackStickiness::Keep,
        },
        observe_every: strategy.observe_every.as_ref().map(|every| every.value.0),
        hours,
        gates: gates.unwrap_or_default(),
        compare: compare::gate(strategy, out),
        metrics,
        hooks,
        start,
        steps: steps?,
    };
    if hours_complete {
        let places = strategy.steps.iter().flat_map(|s| &s.value).collect::<Vec<_>>();
        hours::check_steps_fit(&places, &checked, schedule::expected_routes(workloads), out);
    }
    Some(checked)
}

/// The parts of a wave that differ from the strategy of the plan.
pub(super) struct WaveParts<'a> {
    /// The workloads of the wave.
    pub workloads: Vec<model::Workload>,
    /// The steps of the wave; `None` for the steps of the strategy.
    pub steps: Option<&'a Placed<Vec<Placed<Step>>>>,
    /// The metric gates of these steps.
    pub gates: &'a [MetricGate],
    /// The last pause of the wave.
    pub between: Option<&'a Placed<Pause>>,
}

/// Returns the strategy of a wave: that of the plan, with the wave's steps and gates, and with the pause after them.
pub(super) fn of_wave(
    (file, strategy): (&Strategy, &model::Strategy),
    scope: &PlanContext,
    parts: &WaveParts<'_>,
    out: &mut Vec<Diagnostic>,
) -> model::Strategy {
    let WaveParts { workloads, steps: own, gates, between } = parts;
    let model::Strategy { from, to, .. } = strategy;
    let valid = from != to && [from, to].iter().all(|end| scope.clusters.contains(end));
    let direction = Direction { from: from.clone(), to: to.clone(), valid };
    let before = out.len();
    let mut wave = strategy.clone();
    wave.longest_settle = schedule::longest_settle(workloads, strategy.settle);
    if let Some(own) = own {
        let has_weight = own.value.iter().any(|step| step.value.set_weight.is_some());
        wave.start = has_weight.then(|| shares_toward(scope, &direction, 0));
        wave.steps = steps(own, scope, Some(&direction), wave.start.as_ref(), workloads, out);
    }
    wave.metrics.retain(|gate| match &gate.scope {
        GateScope::Plan => true,
        GateScope::Workload(name) => workloads.iter().any(|w| w.name == *name),
        GateScope::Step(_) => own.is_none(),
    });
    wave.metrics.extend(gates.iter().cloned());
    if let Some(pause) = between {
        let (kind, approval_timeout) = (pause_kind(&pause.value), approval_timeout(&pause.value, out));
        wave.steps.push(model::Step { number: wave.steps.len() + 1, name: None, kind, approval_timeout });
    }
    let places = own.or(file.steps.as_ref()).iter().flat_map(|s| &s.value).collect::<Vec<_>>();
    // Errors of the strategy's steps have already been added.
    let routes = schedule::expected_routes(workloads);
    if out.len() == before && (own.is_some() || steps_fit(strategy, routes)) {
        hours::check_steps_fit(&places, &wave, routes, out);
    }
    wave
}

fn steps_fit(strategy: &model::Strategy, routes: usize) -> bool {
    schedule::steps_without_window(strategy, routes).is_empty()
}

fn reaction(reaction: Reaction) -> OnFailure {
    match reaction {
        Reaction::Rollback => OnFailure::Rollback,
        Reaction::Pause => OnFailure::Pause,
    }
}

/// The clusters `from` and `to` of a strategy.
struct Direction {
    from: String,
    to: String,
    /// Whether `from` and `to` are two different clusters of the plan.
    valid: bool,
}

fn direction(strategy: &Strategy, scope: &PlanContext, out: &mut Vec<Diagnostic>) -> Option<Direction> {
    let mut known = |end: &Option<Placed<crate::plan::scalar::ClusterRef>>| {
        let end = end.as_ref()?;
        Some((end.value.0.clone(), scope.check_cluster(&end.value.0, end.place, out)))
    };
    let (from, to) = (known(&strategy.from), known(&strategy.to));
    let ((from, from_known), (to, to_known)) = (from?, to?);
    if from == to && from_known {
        let place = strategy.to.as_ref().map(|t| t.place).unwrap_or_default();
        let others: Vec<&String> = scope.clusters.iter().filter(|c| **c != from).collect();
        let others = if others.is_empty() { String::new() } else { format!("; there is also {}", list(&others)) };
        let message = format!("`from` and `to` are both `{from}`");
        note(out, Code::CUT013, place, message)
            .help(format!("`from` and `to` must be different clusters of the plan{others}"));
    }
    let valid = from_known && to_known && from != to;
    Some(Direction { from, to, valid })
}

/// Whether the plan has a `setWeight` step. If so, `from` must have a share of 100 at the start.
fn has_set_weight(strategy: &Strategy) -> bool {
    strategy.steps.iter().flat_map(|s| &s.value).any(|s| s.value.set_weight.is_some())
}

/// Returns shares with `percent` for `to`, the rest for `from`, and 0 for all other clusters.
fn shares_toward(scope: &PlanContext, Direction { from, to, .. }: &Direction, percent: u32) -> Shares {
    let share = |c: &String| match c {
        c if c == to => percent,
        c if c == from => 100 - percent,
        _ => 0,
    };
    scope.clusters.iter().map(|c| (c.clone(), share(c))).collect()
}

fn gates(health: &TargetHealth, out: &mut Vec<Diagnostic>) -> Option<TargetHealthGates> {
    let (raise, guard) = (&health.raise.as_ref()?.value, &health.guard.as_ref()?.value);
    let (high, low) = (raise.min_healthy_percent.as_ref()?, guard.min_healthy_percent.as_ref()?);
    let timeout = health.timeout.as_ref()?;
    if low.value.0 > high.value.0 && low.complete && high.complete {
        let message =
            format!("the guard requires {} % healthy targets, but the raise gate only {} %", low.value.0, high.value.0);
        note(out, Code::CUT029, low.place, message).help(
            "a group could pass the raise gate, and then fail the guard immediately: give `guard` at most the \
                `minHealthyPercent` of `raise`",
        );
    }
    if let Some(stable) = raise.stable_for.as_ref().filter(|s| s.value.0 >= timeout.value.0 && timeout.complete) {
        let (stable_for, limit) = (duration::format_exact(stable.value.0), duration::format_exact(timeout.value.0));
        note(
            out,
            Code::CUT029,
            stable.place,
            format!("a gate whose conditions must be met for {stable_for} cannot pass within its `timeout` of {limit}"),
        )
        .help("make `stableFor` shorter than `timeout`");
    }
    Some(TargetHealthGates {
        raise: RaiseGate {
            min_healthy: raise.min_healthy.as_ref()?.value.0,
            min_healthy_percent: high.value.0,
            capacity: raise.capacity.as_ref()?.value.0,
            stable_for: raise.stable_for.as_ref().map(|s| s.value.0),
        },
        guard: GuardGate { min_healthy_percent: low.value.0, for_: guard.for_.as_ref()?.value.0 },
        timeout: timeout.value.0,
        on_timeout: reaction(health.on_timeout.as_ref()?.value),
    })
}

fn steps(
    steps: &Placed<Vec<Placed<Step>>>,
    scope: &PlanContext,
    direction: Option<&Direction>,
    start: Option<&Shares>,
    workloads: &[model::Workload],
    out: &mut Vec<Diagnostic>,
) -> Vec<model::Step> {
    let before = out.len();
    let mut names = UniqueValues::new("steps are called", Code::CUT008);
    let mut live = start.cloned();
    let mut checked = Vec::new();
    for (i, step) in steps.value.iter().enumerate() {
        if let Some(name) = &step.value.name {
            names.check_value(&name.value.0, name.place, out);
        }
        let kind = kind(&step.value, scope, direction, live.as_ref(), out);
        if let Some(StepKind::Shares(shares)) = &kind {
            live = Some(shares.clone());
        }
        let name = step.value.name.as_ref().map(|n| n.value.0.clone());
        let approval_timeout = step.value.pause.as_ref().and_then(|pause| approval_timeout(&pause.value, out));
        checked.push(model::Step { number: i + 1, name, kind: kind.unwrap_or(StepKind::Unknown), approval_timeout });
    }
    if out.len() == before {
        let kinds: Vec<_> = checked.iter().map(|step| step.kind.clone()).collect();
        header_route::check(&steps.value.iter().collect::<Vec<_>>(), &kinds, workloads, out);
    }
    hand_over::check_once(&steps.value, out);
    // If a step or `from` or `to` could not be decoded, it is unknown whether a step moves a share.
    if out.len() == before && direction.is_some() && steps.complete && !checked.iter().any(|s| is_shares(&s.kind)) {
        note(out, Code::CUT022, steps.head, "no step moves a share").help("add a `setWeight: N` or a `setShares: {…}`");
    }
    checked
}

fn kind(
    step: &Step,
    scope: &PlanContext,
    direction: Option<&Direction>,
    live: Option<&Shares>,
    out: &mut Vec<Diagnostic>,
) -> Option<StepKind> {
    let Step { name: _, bind, set_weight, set_shares, pause, exec, set_header_route, hand_over, gates: _ } = step;
    if let Some(weight) = set_weight {
        let direction = direction?;
        if direction.valid {
            check_other_clusters(weight, scope, direction, live, out);
        }
        return Some(StepKind::Shares(shares_toward(scope, direction, weight.value.0)));
    }
    if let Some(table) = set_shares {
        return shares(table, scope, out).map(StepKind::Shares);
    }
    if let Some(pause) = pause {
        return Some(pause_kind(&pause.value));
    }
    if let Some(exec) = exec {
        return hooks::exec(exec, out).map(StepKind::Exec);
    }
    if let Some(route) = set_header_route {
        return header_route::kind(route, out);
    }
    if let Some(step) = hand_over {
        return hand_over::step(step, out).map(StepKind::HandOver);
    }
    bind.as_ref().map(|_| StepKind::Bind)
}

fn pause_kind(Pause { duration, approval, .. }: &Pause) -> StepKind {
    match duration {
        Some(duration) => StepKind::Bake(duration.value.0),
        None => StepKind::Approval(approval.as_ref().map(|a| a.value.0.clone())),
    }
}

/// Returns the time limit of an approval, and what happens after it.
fn approval_timeout(pause: &Pause, out: &mut Vec<Diagnostic>) -> Option<ApprovalTimeout> {
    let Pause { duration, timeout, on_timeout, .. } = pause;
    match (timeout, on_timeout, duration) {
        (Some(timeout), _, Some(_)) => {
            let message = "a pause with a `duration` needs no approval, so it cannot have a `timeout`";
            note(out, Code::CUT036, timeout.head, message).help("remove `duration` or `timeout`");
            None
        }
        (None, Some(reaction), _) => {
            let noted = note(out, Code::CUT036, reaction.head, "`onTimeout` has no effect without a `timeout`");
            noted.help("add `timeout: 4h`, or remove `onTimeout`");
            None
        }
        (timeout, reaction, _) => {
            let then = match reaction.as_ref().map(|r| r.value) {
                Some(ApprovalReaction::Rollback) => OnTimeout::Rollback,
                Some(ApprovalReaction::Proceed) => OnTimeout::Proceed,
                Some(ApprovalReaction::Pause) | None => OnTimeout::Pause,
            };
            timeout.as_ref().map(|timeout| ApprovalTimeout { after: timeout.value.0, then })
        }
    }
}

/// Adds an error for each cluster other than `from` and `to` that has a share at a `setWeight` step, which divides 100
/// % between these two.
fn check_other_clusters(
    weight: &Placed<Percent>,
    scope: &PlanContext,
    Direction { from, to, .. }: &Direction,
    live: Option<&Shares>,
    out: &mut Vec<Diagnostic>,
) {
    let other = |(c, share): &(&String, &u32)| *c != from && *c != to && **share > 0 && scope.clusters.contains(c);
    let others: Vec<&String> = live.into_iter().flatten().filter(other).map(|(c, _)| c).collect();
    if !others.is_empty() {
        let message = format!(
            "`setWeight` divides the traffic between `{from}` and `{to}`, but {} still has a share at this step",
            list(&others)
        );
        note(out, Code::CUT023, weight.head, message).help("set the share of every cluster: `setShares: {…}`");
    }
}

/// Returns the shares of a `setShares` step: every cluster, with a sum of 100.
fn shares(table: &Placed<Table<Percent>>, scope: &PlanContext, out: &mut Vec<Diagnostic>) -> Option<Shares> {
    let before = out.len();
    let mut read = Shares::new();
    for (cluster, percent) in &table.value.0 {
        scope.check_cluster(&cluster.value, cluster.place, out);
        read.insert(cluster.value.clone(), percent.as_ref()?.value.0);
    }
    let missing: Vec<&String> = scope.clusters.iter().filter(|c| !read.contains_key(*c)).collect();
    let (sum, certain) = (read.values().sum::<u32>(), out.len() == before && scope.complete);
    if sum != 100 && certain {
        let message = format!("the sum of the shares is {sum}, not 100");
        return note(out, Code::CUT021, table.head, message)
            .help(format!("give shares with a sum of 100 to {}", list(&scope.clusters)))
            .without_value();
    }
    if !missing.is_empty() && certain {
        let zeros: Vec<String> = missing.iter().map(|c| format!("{c}: 0")).collect();
        note(out, Code::CUT021, table.head, format!("the step gives no share to {}", list(&missing)))
            .help(format!("name every cluster: add `{}`", zeros.join(", ")));
    }
    let zeros: Shares = missing.into_iter().map(|c| (c.clone(), 0)).collect();
    read.extend(zeros);
    (sum == 100).then_some(read)
}
