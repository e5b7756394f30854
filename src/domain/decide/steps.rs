//! The steps themselves, when no freeze, pause or failed guard prevents them.

use super::context::Context;
use super::decision::{Decision, Orders, wait};
use super::{bake, failure, gates, goal, guard, hooks, hours, newer, words};
use crate::base::duration;
use crate::base::time::later;
use crate::domain::run::event::{Event, Freeze, Outcome, RouteStart, StepType, Stop, Trigger, Wait, WaitReason};
use crate::domain::run::hook::Occasion;
use crate::domain::run::state::{AUTOMATIC, Phase, Route, State};
use crate::domain::traffic::Split;
use crate::plan::model::{Limit, OnTimeout, Plan, StepKind};

/// What the current step needs next.
pub fn decide(c: &Context<'_>, orders: Orders) -> Decision {
    match c.state.phase {
        Phase::Ready => begin(c, orders),
        Phase::Moving => moving(c),
        Phase::Baking => baking(c),
        Phase::Working => working(c),
        Phase::Awaiting => awaiting(c),
        Phase::RollingBack | Phase::Detaching | Phase::Finished => Decision::Wait(Vec::new()),
    }
}

fn begin(c: &Context<'_>, orders: Orders) -> Decision {
    let Some(step) = c.plan.strategy.steps.get(c.state.step - 1) else {
        if let Some(decision) =
            [Occasion::BeforeFinish, Occasion::AfterFinish].into_iter().find_map(|at| hooks::step(c, at))
        {
            return decision;
        }
        let stayed = |start: &RouteStart| {
            format!("{} was created during the run and was not moved: it still forwards to the old groups", start.label)
        };
        let remarks = c.state.newcomers.values().map(stayed).collect();
        return Decision::Record(vec![Event::Finished { outcome: Outcome::Completed, remarks, left: Vec::new() }]);
    };
    if orders.until.is_some_and(|until| c.state.step > until) {
        return Decision::Leave(
            Stop::Waiting,
            format!(
                "stopped before step {} ({}), as requested by --until; nobody guards the traffic now",
                step.number,
                words::label(step)
            ),
        );
    }
    if let Some(wait) = hours::wait(&c.plan.strategy, step.number, c.now) {
        return Decision::Wait(vec![wait]);
    }
    let kind = match step.kind {
        StepKind::Bind => StepType::Bind,
        StepKind::Shares(_) => StepType::Shares,
        StepKind::Bake(_) => StepType::Bake,
        StepKind::Approval(_) => StepType::Approval,
        StepKind::Exec(_) => StepType::Exec,
        StepKind::Unknown => return Decision::Wait(newer::wait(c.plan, c.state).into_iter().collect()),
    };
    Decision::Record(vec![Event::StepStarted { step: step.number, kind, label: words::label(step) }])
}

/// Runs a command, then requires the metric gates of its step, as after a pause.
fn working(c: &Context<'_>) -> Decision {
    hooks::step(c, Occasion::Command)
        .or_else(|| gates::gated(c))
        .unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]))
}

fn awaiting(c: &Context<'_>) -> Decision {
    if c.state.released || c.state.full {
        return Decision::Record(vec![Event::StepDone { step: c.state.step }]);
    }
    let limit = c.plan.strategy.steps.get(c.state.step - 1).and_then(|step| step.limit).filter(|_| !c.state.timed_out);
    let until = limit.map(|limit| (limit, later(c.state.step_since, limit.after)));
    if let Some((limit, _)) = until.filter(|(_, until)| *until <= c.now) {
        return Decision::Record(nobody_approved(c, limit));
    }
    let text = match c.kind() {
        Some(StepKind::Approval(Some(text))) => format!("approval: {text}"),
        _ => "until promoted".into(),
    };
    wait(WaitReason::Approval, text, until.map(|(_, until)| until))
}

fn nobody_approved(c: &Context<'_>, Limit { after, then }: Limit) -> Vec<Event> {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    let message = format!("nobody approved within {}", duration::show(after));
    let effect = match then {
        OnTimeout::Proceed => Vec::new(),
        OnTimeout::Pause => vec![Event::Paused { by: AUTOMATIC.into(), reason: message, request: None }],
        OnTimeout::Rollback => guard::back(c, message, Trigger::ApprovalTimeout).unwrap_or_else(|freeze| vec![freeze]),
    };
    [vec![Event::TimedOut { step: c.state.step, after: millis, then: then.into() }], effect].concat()
}

fn baking(c: &Context<'_>) -> Decision {
    let Some(StepKind::Bake(length)) = c.kind() else { return Decision::Wait(Vec::new()) };
    let (observed, _, until) = bake::baked(c);
    if c.state.released || c.state.full {
        return Decision::Record(vec![Event::StepDone { step: c.state.step }]);
    }
    if observed >= *length {
        return gates::gated(c).unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]));
    }
    if let Some(event) = bake::bake_record(c) {
        return Decision::Record(vec![event]);
    }
    let until = later(until, length.saturating_sub(observed));
    let mut waits = guard::failing(c);
    waits.push(Wait {
        reason: WaitReason::Bake,
        message: format!("baking for {}", duration::show(*length)),
        until: Some(until),
    });
    Decision::Wait(waits)
}

/// Whether a step that moves shares is in progress: only some of its routes are written, or its gate only has to pass a
/// while longer. A gate that lacks targets has no known end, so it does not count.
pub fn in_motion(c: &Context<'_>) -> bool {
    if c.state.phase != Phase::Moving || c.state.held() || unbegun(c).is_some() {
        return false;
    }
    let bind = c.kind() == Some(&StepKind::Bind);
    let pending = pending(c.plan, c.state).unwrap_or_default();
    if !pending.is_empty() && c.state.first_write.is_some() {
        return true;
    }
    let coming = goal::coming(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    let (groups, step) = if bind {
        (gates::first_raised(c.plan, c.state), coming)
    } else {
        (gates::raised(c.state, &pending), c.state.step)
    };
    match gates::lacking(c, &groups, step) {
        Some(Decision::Wait(waits)) => waits.iter().all(|wait| wait.until.is_some()),
        Some(_) => true,
        None => false,
    }
}

fn moving(c: &Context<'_>) -> Decision {
    let bind = c.kind() == Some(&StepKind::Bind);
    let (before, after) =
        if bind { (Occasion::BeforeBind, Occasion::AfterBind) } else { (Occasion::BeforeShift, Occasion::AfterShift) };
    if c.state.first_write.is_none()
        && !c.state.settled
        && let Some(decision) = hooks::step(c, before)
    {
        let wait = unbegun(c).filter(|_| matches!(decision, Decision::Call(_)));
        return wait.map_or(decision, |wait| Decision::Wait(vec![wait]));
    }
    let pending = match pending(c.plan, c.state) {
        Ok(pending) => pending,
        Err(message) => return failure::frozen(Freeze::WriteFailed, message),
    };
    if !pending.is_empty() {
        return shift(c, pending, bind);
    }
    if let Some(wait) = settling(c) {
        return wait;
    }
    if !c.state.settled {
        if bind && let Some(decision) = bound(c) {
            return decision;
        }
        let settled = Event::Settled { step: c.state.step };
        let over = hooks::step(c, after).is_none();
        return Decision::Record(
            [Some(settled), over.then_some(Event::StepDone { step: c.state.step })].into_iter().flatten().collect(),
        );
    }
    hooks::step(c, after).unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: c.state.step }]))
}

/// The routes that differ from the current step's target, with that target; or why the weights cannot express it.
fn pending<'a>(plan: &Plan, state: &'a State) -> Result<Vec<(&'a Route, Split)>, String> {
    let mut pending = Vec::new();
    for route in state.routes.values().filter(|r| !r.gone()) {
        match goal::after(plan, &state.started, route, state.step) {
            Ok(set) if route.open.is_none() && route.split().same(&set) => {}
            Ok(set) => pending.push((route, set)),
            Err(e) => return Err(format!("{}: {e}", route.start.label)),
        }
    }
    Ok(pending)
}

/// Writes the routes that still need it, if the groups that it raises are ready.
fn shift(c: &Context<'_>, mut pending: Vec<(&Route, Split)>, bind: bool) -> Decision {
    if c.state.first_write.is_some_and(|first| later(first, c.plan.strategy.gates.timeout) <= c.now) {
        let (route, _) = &pending[0];
        return failure::write_failed(
            c,
            format!(
                "{} could not be written within {}",
                route.start.label,
                duration::show(c.plan.strategy.gates.timeout)
            ),
        );
    }
    if let Some((why, route)) = pending.iter().find_map(|(r, _)| c.watch.refused.get(&r.start.id).map(|why| (why, r))) {
        return failure::write_failed(c, format!("{}: {why}", route.start.label));
    }
    if let Some(wait) = unbegun(c) {
        return Decision::Wait(vec![wait]);
    }
    if !bind && let Some(decision) = gates::raise(c, &gates::raised(c.state, &pending), c.state.step) {
        // A partly written step continues where it can: a group that is not ready blocks only its own routes.
        let goes_on = c.state.first_write.is_some() && matches!(decision, Decision::Wait(_));
        let clear = |route: &(&Route, Split)| {
            gates::lacking(c, &gates::raised(c.state, std::slice::from_ref(route)), c.state.step).is_none()
        };
        pending.retain(|route| goes_on && clear(route));
        if pending.is_empty() {
            return decision;
        }
    }
    // While shares are being written, nothing can be measured; the guard continues.
    if !bind
        && c.state.first_write.is_none()
        && let Some(decision) = gates::gated(c)
    {
        return decision;
    }
    let open = pending.iter().filter_map(|(r, _)| r.open.as_ref()).map(|o| o.deadline).max();
    let ready = pending.into_iter().filter(|(r, _)| r.open.is_none()).collect();
    gates::batch_over(c.state, ready).unwrap_or_else(|| {
        wait(WaitReason::OpenWrite, "a write got no answer; the run waits until it can no longer take effect", open)
    })
}

/// Why the first write of the current step must wait for a window, although the step has started (its gate took too
/// long, or the run was paused). A partly written step continues to its end.
fn unbegun(c: &Context<'_>) -> Option<Wait> {
    if c.state.first_write.is_some() { None } else { hours::wait(&c.plan.strategy, c.state.step, c.now) }
}

/// For `bind`, after the groups are attached: the bindings, then the raise gate of the first share step.
fn bound(c: &Context<'_>) -> Option<Decision> {
    let key = |b: &crate::domain::run::event::BindingStart| {
        (b.cluster.clone(), format!("{}/{}", b.binding.namespace, b.binding.name))
    };
    let missing: Vec<_> =
        c.state.started.bindings.iter().filter(|b| !c.state.bound.contains(&key(b))).cloned().collect();
    if !missing.is_empty() {
        // Between two attempts it waits with the reason, however long an attempt takes.
        return Some(if c.watch.unbound.is_empty() {
            Decision::Bind(missing)
        } else {
            Decision::Wait(c.watch.unbound.clone())
        });
    }
    let groups = gates::first_raised(c.plan, c.state);
    let step = goal::coming(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    gates::raise(c, &groups, step)
}

fn settling(c: &Context<'_>) -> Option<Decision> {
    let until = later(c.state.last_applied?, c.plan.strategy.settle);
    (!c.state.settled && until > c.now)
        .then(|| wait(WaitReason::Settle, "written and read back; settling", Some(until)))
}
