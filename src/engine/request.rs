//! Requests from other terminals, as events.

use crate::domain::decide::{goal, newer};
use crate::domain::run::event::{Event, ResumeMode};
use crate::domain::run::state::{Phase, State};
use crate::plan::model::Plan;
use crate::port::store::Request;

/// Why nothing leads back any more.
pub const DETACHED: &str = "`finalize` has taken the old groups out of the actions, and nothing leads back to them";

/// What a request does to this run; one that makes no sense now becomes a notice. `name`: the request's in the store, if it was left there.
pub fn event(plan: &Plan, state: &State, request: &Request, name: Option<&str>) -> Event {
    let event = asked(state, request, name);
    let notice = |message, refused| Event::Notice { message, refused, request: name.map(str::to_owned) };
    let no =
        |why: &str| notice(format!("`{}` was not carried out: {why}", request.kind().word()), Some(request.kind()));
    if let Some(why) = newer::unknown(plan, state).filter(|_| leads_forward(request)) {
        return no(&why);
    }
    if let Event::RollbackStarted { to_step: Some(step), .. } = event
        && let Some(why) = onward(plan, state, step)
    {
        return notice(format!("`abort --to-step {step}` was not carried out: {why}"), Some(request.kind()));
    }
    match state.clone().apply(state.last, &event) {
        // A rollback that is under way is not begun again, unless a person now insists.
        Ok(()) if repeated(state, &event) => notice("the rollback is under way already".into(), None),
        Ok(()) => event,
        Err(_) => no(refused(state, request)),
    }
}

/// Why a request cannot be carried out now, where it cannot.
pub fn refusal(plan: &Plan, state: &State, request: &Request) -> Option<String> {
    match event(plan, state, request, None) {
        Event::Notice { message, refused: Some(_), .. } => Some(message),
        _ => None,
    }
}

/// Whether a request leads forward, which is not done to a run that is newer than this build.
fn leads_forward(request: &Request) -> bool {
    match request {
        Request::Approve { .. } | Request::Promote { .. } | Request::Detach { .. } => true,
        Request::Resume { mode, .. } => *mode != ResumeMode::Plain,
        // An earlier step may be one that is not known.
        Request::Abort { to_step, .. } => to_step.is_some(),
        Request::Pause { .. } | Request::Rollback { .. } | Request::Ramp { .. } => false,
    }
}

/// Restoring writes wait for no gate: they must never lead forward.
fn onward(plan: &Plan, state: &State, step: usize) -> Option<String> {
    if step >= state.step {
        return Some(format!("step {step} is not an earlier one, the run is at {}", state.step));
    }
    goal::onward(plan, state, step)
}

fn asked(state: &State, request: &Request, name: Option<&str>) -> Event {
    let (step, name) = (state.step, name.map(str::to_owned));
    match request.clone() {
        Request::Pause { by, reason } => Event::Paused { by, reason, request: name },
        Request::Resume { by, mode } => Event::Resumed { by, mode, request: name },
        Request::Approve { by } => Event::Approved { step, by, request: name },
        Request::Promote { by, full } => Event::Promoted { step, full, by, request: name },
        Request::Abort { by, to_step } => {
            Event::RollbackStarted { cause: "aborted".into(), by, to_step, force: false, request: name }
        }
        Request::Rollback { by, force } => {
            Event::RollbackStarted { cause: "rollback".into(), by, to_step: None, force, request: name }
        }
        Request::Detach { by, bindings } => Event::DetachStarted { by, bindings, request: name },
        Request::Ramp { by, force, ramp } => {
            Event::RampStarted { cause: "rollback".into(), by, ramp, force, request: name }
        }
    }
}

/// Why a request cannot be carried out now, for the person who asked.
fn refused(state: &State, request: &Request) -> &'static str {
    match (request, state.phase) {
        (Request::Detach { .. }, _) => "the run has not completed",
        (_, Phase::RollingBack) => "the traffic is going back",
        (_, Phase::Detaching | Phase::Finished) if state.detach.is_some() => DETACHED,
        (_, Phase::Finished) => "the run is over",
        (Request::Approve { .. }, _) => "no step waits for approval",
        (_, Phase::Ready | Phase::Moving | Phase::Baking | Phase::Awaiting | Phase::Working | Phase::Detaching) => {
            "no pause is under way"
        }
    }
}

fn repeated(state: &State, event: &Event) -> bool {
    let (force, ramp) = match event {
        Event::RollbackStarted { force, to_step: None, .. } => (force, None),
        Event::RampStarted { force, ramp, .. } => (force, Some(ramp)),
        _ => return false,
    };
    // One that came by itself leaves what someone else changed alone; a person may want that back too.
    let more = |automatic: bool| automatic && state.drifted().any(|r| !r.gone());
    state.phase == Phase::RollingBack
        && state.rollback.as_ref().is_some_and(|r| {
            // All of it at once is more than a part, and never less than one.
            let further = r.part().is_some_and(|part| Some(&part.ramp) != ramp);
            r.to_step.is_none() && (r.force || !force) && !more(r.automatic) && !further
        })
}
