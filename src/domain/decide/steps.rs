//! Decides what the current step does, if no freeze, pause or failed guard stops the run.

use super::context::Context;
use super::decision::{Decision, ProcessOptions, wait};
use super::{
    bake, comparison, desired_split, drift_text, failure, gates, guard, hand_over, header_rules, hooks, hours, metrics,
    newer, routes_check, step_text,
};
use crate::base::duration;
use crate::base::time::later;
use crate::domain::run::event::{
    Event, FreezeReason, NotMoved, RouteStart, RunOutcome, StepType, StopReason, Trigger, Wait, WaitReason,
};
use crate::domain::run::hook::HookPoint;
use crate::domain::run::state::{AUTOMATIC, Phase, Route, State};
use crate::domain::traffic::Split;
use crate::plan::model::{ApprovalTimeout, OnTimeout, Plan, StepKind};

/// Returns the next decision for the current step.
pub fn decide(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    match c.state.phase {
        Phase::Ready => start_next(c, orders),
        Phase::Shifting => move_shares(c),
        Phase::Baking => bake(c),
        Phase::RunningCommand => run_command(c),
        Phase::RoutingHeaders => header_rules::step(c),
        Phase::HandingOver => hand_over_items(c),
        Phase::AwaitingApproval => await_approval(c),
        Phase::RollingBack | Phase::Retiring | Phase::Finished => Decision::Wait(Vec::new()),
    }
}

fn start_next(c: &Context<'_>, orders: ProcessOptions) -> Decision {
    let Some(step) = c.plan.strategy.steps.get(c.state.step - 1) else {
        let hook =
            || [HookPoint::BeforeFinish, HookPoint::AfterFinish].into_iter().find_map(|at| hooks::next_in_step(c, at));
        // Hooks may take long, so the routes are read again after them.
        return header_rules::at_end(c)
            .or_else(|| routes_check::after_last_step(c))
            .or_else(hook)
            .or_else(|| routes_check::recent(c))
            .unwrap_or_else(|| Decision::Record(vec![completed(c)]));
    };
    if orders.until_step.is_some_and(|until| c.state.step > until) {
        return Decision::Exit(
            StopReason::Waiting,
            format!(
                "stopped before step {} ({}), because of --until; no process guards the traffic now",
                step.number,
                step_text::label(step)
            ),
        );
    }
    if let Some(wait) = hours::wait_unless_ignored(&c.plan.strategy, c.state, step.number, c.now) {
        return Decision::Wait(vec![wait]);
    }
    let kind = match step.kind {
        StepKind::Bind => StepType::Bind,
        StepKind::Shares(_) => StepType::Shares,
        StepKind::Bake(_) => StepType::Bake,
        StepKind::Approval(_) => StepType::Approval,
        StepKind::Exec(_) => StepType::Exec,
        StepKind::HeaderRoute(_) => StepType::HeaderRoute,
        StepKind::HandOver(_) => StepType::HandOver,
        StepKind::Unknown => return Decision::Wait(newer::wait(c.plan, c.state).into_iter().collect()),
    };
    Decision::Record(vec![Event::StepStarted { step: step.number, kind, label: step_text::label(step) }])
}

/// Returns the event that ends a run after the last step.
fn completed(c: &Context<'_>) -> Event {
    let not_moved = |start: &RouteStart| {
        format!(
            "{} was created during the run and was not moved: this rule still forwards to the old groups",
            start.label
        )
    };
    let unread = c.state.started.not_moved.iter();
    let unread = unread.map(|route| {
        let NotMoved { label, reason } = route;
        format!("{label} was not moved ({reason}, accepted by the plan): it forwards as before the run")
    });
    let unrelated = c.state.newcomers.values().filter(|rule| c.state.replaced_route(rule).is_none());
    let (left, accepted) = drift_text::not_as_planned(c);
    Event::Finished {
        outcome: RunOutcome::Completed,
        remarks: unread.chain(unrelated.map(not_moved)).collect(),
        unresolved: left,
        accepted,
        notes: Vec::new(),
    }
}

/// Runs a command, then requires the metric gates of its step, as after a pause.
fn run_command(c: &Context<'_>) -> Decision {
    hooks::next_in_step(c, HookPoint::Command)
        .or_else(|| gates::require_metric_gates(c))
        .unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]))
}

/// Hands the items over, then requires the metric gates of the step, as after a pause.
fn hand_over_items(c: &Context<'_>) -> Decision {
    let Some(StepKind::HandOver(step)) = c.step_kind() else { return Decision::Wait(Vec::new()) };
    hand_over::step(c, step)
        .or_else(|| gates::require_metric_gates(c))
        .unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]))
}

fn await_approval(c: &Context<'_>) -> Decision {
    if c.state.pause_ended || c.state.all_pauses_promoted {
        return Decision::Record(vec![Event::StepDone { step: c.state.step }]);
    }
    let limit = c
        .plan
        .strategy
        .steps
        .get(c.state.step - 1)
        .and_then(|step| step.approval_timeout)
        .filter(|_| !c.state.timed_out);
    let until = limit.map(|limit| (limit, later(c.state.step_since, limit.after)));
    if let Some((limit, _)) = until.filter(|(_, until)| *until <= c.now) {
        return Decision::Record(approval_timed_out(c, limit));
    }
    let text = match c.step_kind() {
        Some(StepKind::Approval(Some(text))) => format!("approval: {text}"),
        _ => "until promoted".to_owned(),
    };
    wait(WaitReason::Approval, text + &metrics::verdicts_in_words(c), until.map(|(_, until)| until))
}

fn approval_timed_out(c: &Context<'_>, ApprovalTimeout { after, then }: ApprovalTimeout) -> Vec<Event> {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    let message = format!("not approved within {}", duration::format_exact(after));
    let effect = match then {
        OnTimeout::Proceed => Vec::new(),
        OnTimeout::Pause => vec![Event::Paused { by: AUTOMATIC.into(), reason: message, request: None }],
        OnTimeout::Rollback => {
            guard::automatic_rollback(c, message, Trigger::ApprovalTimeout).unwrap_or_else(|freeze| vec![freeze])
        }
    };
    [vec![Event::TimedOut { step: c.state.step, after: millis, then: then.into() }], effect].concat()
}

fn bake(c: &Context<'_>) -> Decision {
    let Some(StepKind::Bake(length)) = c.step_kind() else { return Decision::Wait(Vec::new()) };
    let (observed, _, until) = bake::bake_progress(c);
    if c.state.pause_ended || c.state.all_pauses_promoted {
        return Decision::Record(vec![Event::StepDone { step: c.state.step }]);
    }
    if observed >= *length {
        return gates::require_metric_gates(c)
            .unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]));
    }
    if let Some(event) = bake::bake_record(c) {
        return Decision::Record(vec![event]);
    }
    let until = later(until, length.saturating_sub(observed));
    let mut waits = guard::failing_waits(c);
    waits.push(Wait {
        reason: WaitReason::Bake,
        message: format!("baking for {}", duration::format_exact(*length)),
        until: Some(until),
    });
    Decision::Wait(waits)
}

/// Whether a step that moves shares is in progress: only some of its routes are written, or its gate must only pass for
/// some more time. A gate that lacks targets does not count, because the end of the wait is unknown.
pub fn is_in_progress(c: &Context<'_>) -> bool {
    if c.state.phase != Phase::Shifting || c.state.raises_stopped() || first_write_wait(c).is_some() {
        return false;
    }
    let bind = c.step_kind() == Some(&StepKind::Bind);
    let pending = pending(c.plan, c.state).unwrap_or_default();
    if !pending.is_empty() && c.state.first_write.is_some() {
        return true;
    }
    let next_step = desired_split::next_share_step(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    let (groups, step) = if bind {
        (gates::first_raised_groups(c.plan, c.state), next_step)
    } else {
        (gates::raised_groups(c.state, &pending), c.state.step)
    };
    match gates::unmet_raise_gates(c, &groups, step) {
        Some(Decision::Wait(waits)) => waits.iter().all(|wait| wait.until.is_some()),
        Some(_) => true,
        None => false,
    }
}

fn move_shares(c: &Context<'_>) -> Decision {
    let bind = c.step_kind() == Some(&StepKind::Bind);
    let (before, after) = if bind {
        (HookPoint::BeforeBind, HookPoint::AfterBind)
    } else {
        (HookPoint::BeforeShift, HookPoint::AfterShift)
    };
    if c.state.first_write.is_none()
        && !c.state.settled
        && let Some(decision) = hooks::next_in_step(c, before)
    {
        let wait = first_write_wait(c).filter(|_| matches!(decision, Decision::StartHook(_)));
        return wait.map_or(decision, |wait| Decision::Wait(vec![wait]));
    }
    let pending = match pending(c.plan, c.state) {
        Ok(pending) => pending,
        Err(message) => return failure::freeze(FreezeReason::WriteFailed, message),
    };
    if !pending.is_empty() {
        return write_pending(c, pending, bind);
    }
    if let Some(wait) = settle_wait(c) {
        return wait;
    }
    if !c.state.settled {
        if bind && let Some(decision) = finish_bind(c) {
            return decision;
        }
        let settled = Event::Settled { step: c.state.step };
        let no_hooks_left = hooks::next_in_step(c, after).is_none();
        return Decision::Record(
            [Some(settled), no_hooks_left.then_some(Event::StepDone { step: c.state.step })]
                .into_iter()
                .flatten()
                .collect(),
        );
    }
    hooks::next_in_step(c, after).unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]))
}

/// Returns the routes that do not have the target split of the current step, each with this split. The error says why
/// the weights cannot express a target split.
fn pending<'a>(plan: &Plan, state: &'a State) -> Result<Vec<(&'a Route, Split)>, String> {
    let mut pending = Vec::new();
    for route in state.routes.values().filter(|r| !r.is_deleted()) {
        match desired_split::after_step(plan, &state.started, route, state.step) {
            Ok(set) if route.open_writes.is_none() && route.split().equivalent(&set) => {}
            Ok(set) => pending.push((route, set)),
            Err(e) => return Err(format!("{}: {e}", route.start.label)),
        }
    }
    Ok(pending)
}

/// Writes the pending routes if the raised groups are ready.
fn write_pending(c: &Context<'_>, mut pending: Vec<(&Route, Split)>, bind: bool) -> Decision {
    if let Some(waits) = compare_waits(c, &pending) {
        return Decision::Wait(waits);
    }
    // The rate limit makes the writes of many routes slow. A step is late only if the time-out passed without a write.
    let progress = c.state.first_write.map(|first| c.state.last_applied().map_or(first, |last| first.max(last)));
    let progress = progress.map(|last| last.max(c.state.raises_compared_since));
    if progress.is_some_and(|last| later(last, c.plan.strategy.gates.timeout) <= c.now) {
        let (route, _) = &pending[0];
        return failure::write_failed(
            c,
            format!(
                "{} could not be written within {}",
                route.start.label,
                duration::format_exact(c.plan.strategy.gates.timeout)
            ),
        );
    }
    if let Some((why, route)) =
        pending.iter().find_map(|(r, _)| c.observed.rejected_writes.get(&r.start.id).map(|why| (why, r)))
    {
        return failure::write_failed(c, format!("{}: {why}", route.start.label));
    }
    if let Some(wait) = first_write_wait(c) {
        return Decision::Wait(vec![wait]);
    }
    if !bind
        && let Some(decision) = gates::require_raise_gates(c, &gates::raised_groups(c.state, &pending), c.state.step)
    {
        // A partly written step continues where possible: a group that is not ready blocks only the routes that raise
        // it.
        let continues = c.state.first_write.is_some() && matches!(decision, Decision::Wait(_));
        let is_ready = |route: &(&Route, Split)| {
            gates::unmet_raise_gates(c, &gates::raised_groups(c.state, std::slice::from_ref(route)), c.state.step)
                .is_none()
        };
        pending.retain(|route| continues && is_ready(route));
        if pending.is_empty() {
            return decision;
        }
    }
    // While shares are being written, metric gates cannot be measured. The guard of target health continues.
    if !bind
        && c.state.first_write.is_none()
        && let Some(decision) = gates::require_metric_gates(c)
    {
        return decision;
    }
    if !bind
        && c.state.first_write.is_none()
        && let Some(decision) = routes_check::recent(c)
    {
        return decision;
    }
    let open = pending.iter().filter_map(|(r, _)| r.open_writes.as_ref()).map(|o| o.deadline).max();
    let ready = pending.into_iter().filter(|(r, _)| r.open_writes.is_none()).collect();
    gates::batch_over(c.state, ready).unwrap_or_else(|| {
        wait(
            WaitReason::OpenWrite,
            "a write is not confirmed; the run waits until the write can no longer take effect",
            open,
        )
    })
}

/// Returns the wait for the comparison of both clusters, followed by the other gates that do not pass. The time-outs of
/// the gates do not run meanwhile. `None` if the comparison allows the step, or if the step must wait for the hours of
/// the plan.
fn compare_waits(c: &Context<'_>, pending: &[(&Route, Split)]) -> Option<Vec<Wait>> {
    let groups = gates::raised_groups(c.state, pending);
    let compare = comparison::unmet(c, &groups).filter(|_| first_write_wait(c).is_none())?;
    let others = match gates::unmet_raise_gates(c, &groups, c.state.step) {
        Some(Decision::Wait(waits)) => waits,
        _ => Vec::new(),
    };
    let metrics = if c.state.first_write.is_none() { metrics::unmet_metric_gates(c) } else { Vec::new() };
    Some([vec![compare], others, metrics].concat())
}

/// Returns why the first write of the current step must wait for a window, although the step has started: the gate took
/// too long, or the run was paused. A partly written step does not wait for a window.
fn first_write_wait(c: &Context<'_>) -> Option<Wait> {
    if c.state.first_write.is_some() {
        return None;
    }
    hours::wait_unless_ignored(&c.plan.strategy, c.state, c.state.step, c.now)
}

/// Finishes a `bind` step after the groups are attached: creates the bindings, then requires the raise gate of the next
/// share step.
fn finish_bind(c: &Context<'_>) -> Option<Decision> {
    let key = |b: &crate::domain::run::event::BindingStart| {
        (b.cluster.clone(), format!("{}/{}", b.binding.namespace, b.binding.name))
    };
    let missing: Vec<_> =
        c.state.started.bindings.iter().filter(|b| !c.state.handled_bindings.contains(&key(b))).cloned().collect();
    if !missing.is_empty() {
        // Between two attempts the run waits, with the reason of the last failure.
        return Some(if c.observed.binding_waits.is_empty() {
            Decision::Bind(missing)
        } else {
            Decision::Wait(c.observed.binding_waits.clone())
        });
    }
    let groups = gates::first_raised_groups(c.plan, c.state);
    let step = desired_split::next_share_step(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    gates::require_raise_gates(c, &groups, step)
}

fn settle_wait(c: &Context<'_>) -> Option<Decision> {
    let until = c.state.settles_at(c.plan.strategy.settle)?;
    let kept = c.state.routes.values().any(|route| route.applied_at.is_some() && route.start.keeps_connections);
    let message = if kept {
        "written and read back; settling: new connections follow the weights, existing connections stay until they close"
    } else {
        "written and read back; settling"
    };
    (!c.state.settled && until > c.now).then(|| wait(WaitReason::Settle, message, Some(until)))
}
