//! Holding: what freezes a run, what thaws it, and what it says meanwhile.

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

/// How long something may be unreadable before the run says that it is frozen.
const BLIND: Duration = Duration::from_mins(1);

/// Freezes, thaws, or holds; `None` where the steps may go on.
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
    // A raise like any other: not without the marker, nor while something cannot be read.
    if c.watch.blind_since.is_none()
        && newer.is_none()
        && let Some(decision) = reassert(c)
    {
        return Some(decision);
    }
    // A bake counts what is observed, held or not.
    if let (Phase::Baking, Some(event)) = (c.state.phase, bake::bake_record(c)) {
        return Some(Decision::Record(vec![event]));
    }
    let waits: Vec<_> =
        [newer, frozen(c.state), paused(c.state), blind(c.state, c.watch)].into_iter().flatten().collect();
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

/// What should freeze the run at this moment, drift first.
fn reason(c: &Context<'_>) -> Option<(Freeze, String)> {
    if let Some(message) = drift(c.state) {
        return Some((Freeze::Drift, message));
    }
    if c.watch.marker == Some(Marker::Missing) {
        return Some((
            Freeze::LockLost,
            "the marker tag is gone from the load balancer, and nobody else's is there".into(),
        ));
    }
    if let Some(why) = &c.watch.lapsed {
        return Some((Freeze::LockLost, format!("{why}; nobody else is known to have it")));
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

/// Whether what froze the run is gone by itself. A failed guard or write needs a person.
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

/// `resume --reassert`: our shares are written again over someone else's; `--include-new`: a late route follows the others. Held to the same gates.
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

/// What cannot be read at present, and how to log in again where that is why.
pub fn blind(state: &State, watch: &Watch) -> Option<Wait> {
    watch.blind_since?;
    let login =
        watch.unreadable.values().chain(&watch.marker_unread).any(|why| matches!(why, Unreadable::Credentials(_)));
    let hint = if login { "; log in again (for example `aws sso login`), the run goes on by itself" } else { "" };
    Some(Wait {
        reason: WaitReason::Unreadable,
        message: format!("{}{hint}", watch.blindness(&state.started)?),
        until: None,
    })
}
