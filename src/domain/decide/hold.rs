//! Freezing: what freezes a run, what unfreezes it, and the wait reasons meanwhile.

use std::time::Duration;

use super::context::Context;
use super::decision::Decision;
use super::{bake, gates, goal, guard, newer, rival};
use crate::base::time::later;
use crate::domain::health::gate::Guard;
use crate::domain::run::event::{Event, Freeze, Wait, WaitReason};
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::run::watch::{Marker, Watch};
use crate::domain::traffic::Unreadable;

/// How long readings may fail before the run freezes.
const BLIND: Duration = Duration::from_mins(1);

/// Freezes, unfreezes, or waits; `None` if the steps may continue.
pub fn decide(c: &Context<'_>) -> Option<Decision> {
    let reason = reason(c);
    match (&c.state.frozen, reason) {
        (None, Some((reason, message))) => return Some(Decision::Record(vec![Event::Frozen { reason, message }])),
        (Some(frozen), reason) if thaws(c, frozen.reason, reason.as_ref().map(|r| r.0)) => {
            return Some(Decision::Record(vec![Event::Thawed {}]));
        }
        _ => {}
    }
    let newer = newer::wait(c.plan, c.state);
    // A raise like any other: requires the marker and successful readings.
    if c.watch.blind_since.is_none()
        && newer.is_none()
        && let Some(decision) = reassert(c)
    {
        return Some(decision);
    }
    // A bake counts observed time even while raises are stopped.
    if let (Phase::Baking, Some(event)) = (c.state.phase, bake::bake_record(c)) {
        return Some(Decision::Record(vec![event]));
    }
    let waits: Vec<_> =
        [newer, frozen(c.state), paused(c.state), blind(c.state, c.watch)].into_iter().flatten().collect();
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

/// The reason to freeze the run now; drift takes precedence.
fn reason(c: &Context<'_>) -> Option<(Freeze, String)> {
    if let Some(message) = drift(c.state) {
        return Some((Freeze::Drift, message));
    }
    if c.watch.marker == Some(Marker::Missing) {
        return Some((
            Freeze::LockLost,
            "the marker tag is missing from the load balancer, and no other run's marker is there".into(),
        ));
    }
    if let Some(why) = &c.watch.lapsed {
        return Some((Freeze::LockLost, format!("{why}; no other owner is known")));
    }
    let since = c.watch.blind_since?;
    let message = c.watch.blindness(&c.state.started)?;
    (later(since, BLIND) <= c.now).then_some((Freeze::Unreadable, message))
}

fn drift(state: &State) -> Option<String> {
    let mut drifted = state.drifted().filter(|r| !r.reassert);
    let first = drifted.next()?;
    let more = drifted.count();
    let what = if first.gone() { "was deleted" } else { "was changed by someone else" };
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some(format!("{} {what}{more}; {}", first.start.label, rival::suspect(first)))
}

/// Whether the reason for the freeze is gone. A failed guard or write needs an operator.
fn thaws(c: &Context<'_>, frozen: Freeze, reason: Option<Freeze>) -> bool {
    match frozen {
        Freeze::Drift | Freeze::Unreadable | Freeze::LockLost => {
            reason != Some(frozen) && c.watch.blind_since.is_none()
        }
        Freeze::GateTimeout => gates::hold(c),
        Freeze::FromInTrouble => guard::groups(c).iter().all(|(_, _, g)| matches!(g, Guard::Fine | Guard::Failing(..))),
        Freeze::GuardFailed | Freeze::WriteFailed | Freeze::HookFailed | Freeze::NoWayBack => false,
    }
}

/// `resume --reassert` writes our shares again over drift; `--include-new` raises a late route to the shares of the
/// others. Both need the raise gates.
fn reassert(c: &Context<'_>) -> Option<Decision> {
    let routes = c.state.routes.values().filter(|r| r.reassert && r.open.is_none() && !r.gone() && !c.state.held());
    let done = if c.state.phase == Phase::Ready { c.state.step - 1 } else { c.state.step };
    let wanted =
        |r: &Route| if r.late { goal::after(c.plan, &c.state.started, r, done).ok() } else { Some(r.split().clone()) };
    let routes: Vec<_> = routes.filter_map(|r| Some((r, wanted(r)?))).collect();
    gates::lacking(c, &gates::raised(c.state, &routes), c.state.step).or_else(|| gates::batch_over(c.state, routes))
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

/// What cannot be read at present, with the login command if credentials are the cause.
pub fn blind(state: &State, watch: &Watch) -> Option<Wait> {
    watch.blind_since?;
    let login =
        watch.unreadable.values().chain(&watch.marker_unread).any(|why| matches!(why, Unreadable::Credentials(_)));
    let hint =
        if login { "; log in again (for example `aws sso login`); the run then continues by itself" } else { "" };
    Some(Wait {
        reason: WaitReason::Unreadable,
        message: format!("{}{hint}", watch.blindness(&state.started)?),
        until: None,
    })
}
