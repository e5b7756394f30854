//! Requests from other terminals, as events.

use crate::adapter::store::Request;
use crate::domain::event::Event;
use crate::domain::state::{Phase, State};

/// What a request does to this run; one that makes no sense now becomes a notice.
pub fn event(state: &State, request: &Request) -> Event {
    let event = match request {
        Request::Pause { by, reason } => Event::Paused { by: by.clone(), reason: reason.clone() },
        Request::Resume { by, mode } => Event::Resumed { by: by.clone(), mode: *mode },
        Request::Approve { by } => Event::Approved { step: state.step, by: by.clone() },
        Request::Promote { by, full } => Event::Promoted { step: state.step, full: *full, by: by.clone() },
        Request::Abort { by, to_step } => {
            Event::RollbackStarted { cause: "aborted".into(), by: by.clone(), to_step: *to_step, force: false }
        }
        Request::Rollback { by, force } => {
            Event::RollbackStarted { cause: "rollback".into(), by: by.clone(), to_step: None, force: *force }
        }
    };
    if let Event::RollbackStarted { to_step: Some(step), .. } = event
        && step >= state.step
    {
        // Restoring writes wait for no gate: they must never lead forward.
        return Event::Notice {
            message: format!("a request was not carried out: step {step} is not an earlier one, the run is at {}", state.step),
        };
    }
    match state.clone().apply(state.last, &event) {
        // A rollback that is under way is not begun again, unless a person now insists.
        Ok(()) if repeated(state, &event) => Event::Notice { message: "the rollback is under way already".into() },
        Ok(()) => event,
        Err(_) => Event::Notice { message: refused(state, request) },
    }
}

/// Why a request cannot be carried out now, for the person who asked.
fn refused(state: &State, request: &Request) -> String {
    let going = match state.phase {
        Phase::RollingBack => "the traffic is going back",
        Phase::Finished => "the run is over",
        _ => "no pause is under way",
    };
    match request {
        Request::Approve { .. } if going.starts_with("no") => "`approve` was not carried out: no step waits for approval".into(),
        Request::Approve { .. } => format!("`approve` was not carried out: {going}"),
        Request::Promote { .. } => format!("`promote` was not carried out: {going}"),
        Request::Pause { .. } => format!("`pause` was not carried out: {going}"),
        Request::Resume { .. } => format!("`resume` was not carried out: {going}"),
        Request::Abort { .. } => format!("`abort` was not carried out: {going}"),
        Request::Rollback { .. } => format!("`rollback` was not carried out: {going}"),
    }
}

fn repeated(state: &State, event: &Event) -> bool {
    let Event::RollbackStarted { force, to_step: None, .. } = event else { return false };
    // One that came by itself leaves what someone else changed alone; a person may want that back too.
    let more = |automatic: bool| automatic && state.drifted().any(|r| !r.gone());
    state.phase == Phase::RollingBack
        && state.rollback.as_ref().is_some_and(|r| r.to_step.is_none() && (r.force || !force) && !more(r.automatic))
}
