//! Converts operator requests to events. The effect of an event on the run is in `domain::run`.

use crate::domain::decide::{desired_split, drift_text, hours, newer};
use crate::domain::hand_over::ItemDrained;
use crate::domain::run::event::{DriftPolicy, Event, IgnoredHours, ResumeMode, Trigger};
use crate::domain::run::state::{Phase, State};
use crate::plan::model::{Plan, RollbackStickiness};
use crate::port::store::Request;

/// The message that a rollback is no longer possible.
pub const NO_ROLLBACK: &str =
    "`finalize --detach` has removed the old target groups from the routes; a rollback is no longer possible";

/// Returns the event for a request, or a notice if the request is not possible now. `name` is the name of the request
/// in the store, if the request came from the store.
pub fn to_event(plan: &Plan, state: &State, request: &Request, name: Option<&str>) -> Event {
    let event = requested_event(plan, state, request, name);
    let notice = |message, refused| Event::Notice { message, refused, request: name.map(str::to_owned) };
    let no =
        |why: &str| notice(format!("`{}` was not carried out: {why}", request.kind().name()), Some(request.kind()));
    if let Some(why) = newer::unknown_parts(plan, state).filter(|_| leads_forward(request)) {
        return no(&why);
    }
    if let Event::Resumed { mode: ResumeMode { drift: DriftPolicy::Reassert, .. }, .. } = event
        && let Some(why) = drift_text::not_reassertable(state)
    {
        return no(&why);
    }
    if let (Request::Resume { ignore_hours: Some(_), .. }, Event::Resumed { ignore_hours: None, .. }) =
        (request, &event)
    {
        return no("no coming step waits for `windows`, `blackouts` or `notBefore`");
    }
    if let Event::LeftOut { routes, .. } = &event
        && state.routes.keys().all(|id| routes.contains(id))
    {
        return no("the run would have no route left; to end the run, use `abort`");
    }
    if let Event::RollbackStarted { to_step: Some(step), .. } = event
        && let Some(why) = raised_by_abort(plan, state, step)
    {
        return notice(format!("`abort --to-step {step}` was not carried out: {why}"), Some(request.kind()));
    }
    match state.clone().apply(state.last_record_at, &event) {
        // A rollback that is in progress is not started again, unless the operator asks for more than that rollback
        // does.
        Ok(()) if is_repeated(plan, state, &event) => notice("the rollback is already in progress".into(), None),
        Ok(()) => event,
        Err(_) => no(refusal_text(state, request)),
    }
}

/// Returns why a request cannot be carried out now; `None` if the request is possible.
pub fn refusal(plan: &Plan, state: &State, request: &Request) -> Option<String> {
    match to_event(plan, state, request, None) {
        Event::Notice { message, refused: Some(_), .. } => Some(message),
        _ => None,
    }
}

/// Returns the state of the run after a request; the present state if the request is not possible.
pub fn state_after(plan: &Plan, state: &State, request: &Request) -> State {
    let mut after = state.clone();
    match after.apply(state.last_record_at, &to_event(plan, state, request, None)) {
        Ok(()) => after,
        Err(_) => state.clone(),
    }
}

/// Returns whether a request moves the run forward. A run from a newer version is never moved forward.
fn leads_forward(request: &Request) -> bool {
    match request {
        Request::Approve { .. } | Request::Promote { .. } | Request::Detach { .. } | Request::LeaveOut { .. } => true,
        Request::Resume { mode, ignore_hours, .. } => *mode != ResumeMode::PLAIN || ignore_hours.is_some(),
        // This build may not know the earlier step.
        Request::Abort { to_step, .. } => to_step.is_some(),
        Request::Pause { .. } | Request::Rollback { .. } | Request::Ramp { .. } | Request::AssumeStopped { .. } => {
            false
        }
    }
}

/// Returns why a rollback to `step` would raise a share. Restoring writes pass no gate, so they must not raise shares.
fn raised_by_abort(plan: &Plan, state: &State, step: usize) -> Option<String> {
    if step >= state.step {
        return Some(format!("step {step} is not before the run's current step {}", state.step));
    }
    desired_split::raise_by_rollback(plan, state, step)
}

fn requested_event(plan: &Plan, state: &State, request: &Request, name: Option<&str>) -> Event {
    let (step, name) = (state.step, name.map(str::to_owned));
    match request.clone() {
        Request::Pause { by, reason } => Event::Paused { by, reason, request: name },
        Request::Resume { by, mode, ignore_hours } => {
            let step = hours::next_bound_step(&plan.strategy, state);
            let ignore_hours = ignore_hours.zip(step).map(|(reason, step)| IgnoredHours { step, reason });
            Event::Resumed { by, mode, ignore_hours, request: name }
        }
        Request::LeaveOut { by, routes } => Event::LeftOut { by, routes, request: name },
        Request::Approve { by } => Event::Approved { step, by, request: name },
        Request::Promote { by, full } => Event::Promoted { step, full, by, request: name },
        Request::Abort { by, to_step } => Event::RollbackStarted {
            cause: "aborted".into(),
            by,
            trigger: Trigger::Operator,
            to_step,
            force: false,
            break_stickiness: to_step.is_none() && breaks_stickiness(plan, state, None),
            request: name,
        },
        Request::Rollback { by, force, break_stickiness } => Event::RollbackStarted {
            cause: "rollback".into(),
            by,
            trigger: Trigger::Operator,
            to_step: None,
            force,
            break_stickiness: breaks_stickiness(plan, state, break_stickiness),
            request: name,
        },
        Request::AssumeStopped { by, item } => {
            let start = state.started.items.iter().find(|start| start.item == item);
            let (step, cluster) = (start.map_or(0, |start| start.step), state.started.to.clone());
            Event::ItemDrained(ItemDrained { step, item, cluster, assumed_by: Some(by) })
        }
        Request::Detach { by, bindings } => Event::RetireStarted { by, bindings, request: name },
        Request::Ramp { by, force, break_stickiness, ramp } => Event::RampStarted {
            cause: "rollback".into(),
            by,
            ramp,
            force,
            break_stickiness: breaks_stickiness(plan, state, break_stickiness),
            request: name,
        },
    }
}

/// Whether a requested rollback detaches groups because of sticky clients: what the operator asks for, else what the
/// plan says. `false` for a run without group stickiness, where there is nothing to break.
fn breaks_stickiness(plan: &Plan, state: &State, asked: Option<bool>) -> bool {
    asked.unwrap_or(plan.strategy.rollback_stickiness == RollbackStickiness::Break)
        && state.routes.values().any(|route| route.start.content.sticky().is_some())
}

/// Returns the text for the operator that says why a request cannot be carried out now.
fn refusal_text(state: &State, request: &Request) -> &'static str {
    match (request, state.phase) {
        (Request::AssumeStopped { .. }, _) => "no rollback is in progress",
        (Request::Detach { .. }, _) => "the run has not completed",
        (_, Phase::RollingBack) => "the run is rolling back",
        (_, Phase::Retiring | Phase::Finished) if state.retirement.is_some() => NO_ROLLBACK,
        (_, Phase::Finished) => "the run is finished",
        (Request::Approve { .. }, _) => "no step waits for approval",
        (
            _,
            Phase::Ready
            | Phase::Shifting
            | Phase::Baking
            | Phase::AwaitingApproval
            | Phase::RunningCommand
            | Phase::RoutingHeaders
            | Phase::HandingOver
            | Phase::Retiring,
        ) => "no pause is in progress",
    }
}

fn is_repeated(plan: &Plan, state: &State, event: &Event) -> bool {
    let (force, breaks, ramp) = match event {
        Event::RollbackStarted { force, break_stickiness, to_step: None, .. } => (force, *break_stickiness, None),
        Event::RampStarted { force, break_stickiness, ramp, .. } => (force, *break_stickiness, Some(ramp)),
        _ => return false,
    };
    // An automatic rollback does not change drifted routes; an operator may want to restore these routes too.
    let restores_drifted_routes = |automatic: bool| automatic && state.drifted().any(|r| !r.is_deleted());
    state.phase == Phase::RollingBack
        && state.rollback.as_ref().is_some_and(|r| {
            // A full rollback does more than a partial rollback.
            let further = r.unfinished_stage().is_some_and(|part| Some(&part.ramp) != ramp);
            r.to_step.is_none()
                && (r.force || !force)
                && (!breaks || desired_split::may_break_stickiness(plan, r))
                && !restores_drifted_routes(r.automatic)
                && !further
        })
}
