//! Decides when a run freezes and unfreezes, and returns the wait reasons of a frozen or paused run.

use std::time::Duration;

use super::context::Context;
use super::decision::Decision;
use super::{bake, comparison, desired_split, drift_text, gates, guard, newer};
use crate::base::time::later;
use crate::domain::health::gate::GuardVerdict;
use crate::domain::run::event::{Event, FreezeReason, Wait, WaitReason};
use crate::domain::run::observation::{Marker, Observed};
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::traffic::Unreadable;

/// How long readings may fail before the run is frozen.
const FREEZE_AFTER: Duration = Duration::from_mins(1);

/// Freezes or unfreezes the run, or waits; `None` if the steps may continue.
pub fn decide(c: &Context<'_>) -> Option<Decision> {
    let reason = freeze_reason(c);
    match (&c.state.frozen, reason) {
        (None, Some((reason, message))) => return Some(Decision::Record(vec![Event::Frozen { reason, message }])),
        (Some(frozen), reason) if is_over(c, frozen.reason, reason.as_ref().map(|r| r.0)) => {
            return Some(Decision::Record(vec![Event::Unfrozen {}]));
        }
        // The rule that replaces a deleted rule may be found later than the deletion. The message then has another
        // command.
        (Some(frozen), Some((FreezeReason::Drift, message)))
            if frozen.reason == FreezeReason::Drift
                && frozen.message != message
                && c.state.undecided_replacements().next().is_some() =>
        {
            return Some(Decision::Record(vec![Event::Frozen { reason: FreezeReason::Drift, message }]));
        }
        _ => {}
    }
    let newer = newer::wait(c.plan, c.state);
    // Writing shares again may raise a share, so it requires the marker and successful readings.
    if c.observed.unreadable_since.is_none()
        && newer.is_none()
        && let Some(decision) = reassert(c)
    {
        return Some(decision);
    }
    // A bake counts observed time even while the run is paused or frozen.
    if let (Phase::Baking, Some(event)) = (c.state.phase, bake::bake_record(c)) {
        return Some(Decision::Record(vec![event]));
    }
    let waits: Vec<_> =
        [newer, frozen(c.state), paused(c.state), unreadable_wait(c.state, c.observed)].into_iter().flatten().collect();
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

/// Returns the reason to freeze the run now. Drift takes precedence over other reasons.
fn freeze_reason(c: &Context<'_>) -> Option<(FreezeReason, String)> {
    if let Some(message) = drift_text::freeze_message(c.state) {
        return Some((FreezeReason::Drift, message));
    }
    if c.observed.marker == Some(Marker::Missing) {
        return Some((
            FreezeReason::LockLost,
            format!(
                "the marker tag is missing from the load balancer, and the load balancer has no marker of another run; to \
                 put the tag again and continue: cutover resume {}",
                c.state.run
            ),
        ));
    }
    if let Some(why) = &c.observed.lock_warning {
        return Some((FreezeReason::LockLost, format!("{why}; no other owner is known")));
    }
    let since = c.observed.unreadable_since?;
    let message = c.observed.unreadable_summary(&c.state.started)?;
    (later(since, FREEZE_AFTER) <= c.now).then_some((FreezeReason::Unreadable, message))
}

/// Whether the reason for the freeze has ended. A failed guard or write needs an operator.
fn is_over(c: &Context<'_>, frozen: FreezeReason, reason: Option<FreezeReason>) -> bool {
    match frozen {
        FreezeReason::Drift | FreezeReason::Unreadable | FreezeReason::LockLost => {
            reason != Some(frozen) && c.observed.unreadable_since.is_none()
        }
        FreezeReason::GateTimeout => gates::all_pass(c),
        FreezeReason::FromUnhealthy => {
            guard::verdicts(c).iter().all(|(_, _, g)| matches!(g, GuardVerdict::Passing | GuardVerdict::Failing(..)))
        }
        FreezeReason::GuardFailed | FreezeReason::WriteFailed | FreezeReason::HookFailed | FreezeReason::NoWayBack => {
            false
        }
    }
}

/// Writes shares that an operator requested: `resume --reassert` writes the shares of the run again over drift, and
/// `--include-new` gives a new route the shares of the other routes. Both require the raise gates.
fn reassert(c: &Context<'_>) -> Option<Decision> {
    let routes = c
        .state
        .routes
        .values()
        .filter(|r| r.reassert && r.open_writes.is_none() && !r.is_deleted() && !c.state.raises_stopped());
    let step = if c.state.phase == Phase::Ready { c.state.step - 1 } else { c.state.step };
    let wanted = |r: &Route| {
        if r.joined_late {
            desired_split::after_step(c.plan, &c.state.started, r, step).ok()
        } else {
            Some(r.split().clone())
        }
    };
    let routes: Vec<_> = routes.filter_map(|r| Some((r, wanted(r)?))).collect();
    let groups = gates::raised_groups(c.state, &routes);
    gates::unmet_raise_gates(c, &groups, c.state.step)
        .or_else(|| Some(Decision::Wait(vec![comparison::unmet(c, &groups)?])))
        .or_else(|| gates::batch_over(c.state, routes))
}

fn frozen(state: &State) -> Option<Wait> {
    let frozen = state.frozen.as_ref()?;
    Some(Wait { reason: WaitReason::Frozen, message: frozen.message.clone(), until: None })
}

fn paused(state: &State) -> Option<Wait> {
    let paused = state.paused.as_ref()?;
    let why = if paused.why.is_empty() { String::new() } else { format!(": {}", paused.why) };
    Some(Wait { reason: WaitReason::Paused, message: format!("paused by {}{why}", paused.by), until: None })
}

/// Returns a wait that lists the readings that fail, and the login command if credentials are the cause; `None` if all
/// readings succeed.
pub fn unreadable_wait(state: &State, observed: &Observed) -> Option<Wait> {
    observed.unreadable_since?;
    let mut errors = observed.unreadable.values().chain(&observed.marker_error).chain(&observed.census_error);
    let login = errors.any(|why| matches!(why, Unreadable::Credentials(_)));
    let hint =
        if login { "; log in again (for example `aws sso login`); the run then continues by itself" } else { "" };
    Some(Wait {
        reason: WaitReason::Unreadable,
        message: format!("{}{hint}", observed.unreadable_summary(&state.started)?),
        until: None,
    })
}
