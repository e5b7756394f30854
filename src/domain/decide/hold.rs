//! Holding: what freezes a run, what thaws it, and what it says meanwhile.

use std::time::Duration;

use jiff::Timestamp;

use super::{Decision, guard, newer, steps};
use crate::base::time::later;
use crate::domain::decide::goal;
use crate::domain::decide::rival;
use crate::domain::elb::arn::short;
use crate::domain::health::gate::Guard;
use crate::domain::run::event::{Event, Freeze, Wait, WaitReason};
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::run::watch::{Marker, Watch};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{Plan, StepKind};

/// How long something may be unreadable before the run says that it is frozen.
const BLIND: Duration = Duration::from_mins(1);

/// Freezes, thaws, or holds; `None` where the steps may go on.
pub fn decide(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Option<Decision> {
    let reason = reason(state, watch, now);
    match (&state.frozen, reason) {
        (None, Some((reason, message))) => return Some(Decision::Record(vec![Event::Frozen { reason, message }])),
        (Some(frozen), reason) if thaws(plan, state, watch, frozen.reason, reason.as_ref().map(|r| r.0), now) => {
            return Some(Decision::Record(vec![Event::Thawed {}]));
        }
        _ => {}
    }
    let newer = newer::wait(plan, state);
    // A raise like any other: not without the marker, nor while something cannot be read.
    if watch.blind_since.is_none()
        && newer.is_none()
        && let Some(decision) = reassert(plan, state, watch, now)
    {
        return Some(decision);
    }
    // A bake counts what is observed, held or not.
    if let (Phase::Baking, Some(event)) = (state.phase, steps::bake_record(state, watch)) {
        return Some(Decision::Record(vec![event]));
    }
    let waits: Vec<_> = [newer, frozen(state), paused(state), blind(watch)].into_iter().flatten().collect();
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

/// What should freeze the run at this moment, drift first.
fn reason(state: &State, watch: &Watch, now: Timestamp) -> Option<(Freeze, String)> {
    if let Some(message) = drift(state) {
        return Some((Freeze::Drift, message));
    }
    if watch.marker == Some(Marker::Missing) {
        return Some((Freeze::LockLost, "the marker tag is gone from the load balancer, and nobody else's is there".into()));
    }
    if let Some(why) = &watch.lapsed {
        return Some((Freeze::LockLost, format!("{why}; nobody else is known to have it")));
    }
    let since = watch.blind_since?;
    let message = watch.blindness()?;
    (later(since, BLIND) <= now).then_some((Freeze::Unreadable, message))
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
fn thaws(plan: &Plan, state: &State, watch: &Watch, frozen: Freeze, reason: Option<Freeze>, now: Timestamp) -> bool {
    match frozen {
        Freeze::Drift | Freeze::Unreadable | Freeze::LockLost => reason != Some(frozen) && watch.blind_since.is_none(),
        Freeze::GateTimeout => steps::gate_holds(plan, state, watch, now),
        Freeze::FromInTrouble => {
            guard::groups(plan, state, watch, now).iter().all(|(_, _, g)| matches!(g, Guard::Fine | Guard::Failing(..)))
        }
        Freeze::GuardFailed | Freeze::WriteFailed | Freeze::HookFailed | Freeze::NoWayBack => false,
    }
}

/// `resume --reassert`: our shares are written again over someone else's; `--include-new`: a late route follows the others. Held to the same gates.
fn reassert(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Option<Decision> {
    let routes = state.routes.values().filter(|r| r.reassert && r.open.is_none() && !r.gone() && !state.held());
    let done = if state.phase == Phase::Ready { state.step - 1 } else { state.step };
    let wanted = |r: &Route| if r.late { goal::after(plan, &state.started, r, done).ok() } else { Some(r.split().clone()) };
    let routes: Vec<_> = routes.filter_map(|r| Some((r, wanted(r)?))).collect();
    steps::short(plan, state, watch, &steps::raised(state, &routes), state.step, now).or_else(|| steps::batch_over(state, routes))
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
pub fn blind(watch: &Watch) -> Option<Wait> {
    watch.blind_since?;
    let login = watch.unreadable.values().chain(&watch.marker_unread).any(|why| matches!(why, Unreadable::Credentials(_)));
    let hint = if login { "; log in again (for example `aws sso login`), the run goes on by itself" } else { "" };
    Some(Wait { reason: WaitReason::Unreadable, message: format!("{}{hint}", watch.blindness()?), until: None })
}

/// Guards that are failing but have not failed, as waits to be shown.
pub fn failing(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Vec<Wait> {
    let bound = plan.strategy.gates.guard.for_;
    let groups = guard::groups(plan, state, watch, now).into_iter();
    let failing = groups.filter_map(|(group, _, g)| match g {
        Guard::Failing(since, why) => {
            Some(Wait { reason: WaitReason::GuardFailing, message: format!("{} {why}", short(group)), until: Some(later(since, bound)) })
        }
        _ => None,
    });
    failing.collect()
}

/// The kind of the current step.
pub fn current<'a>(plan: &'a Plan, state: &State) -> Option<&'a StepKind> {
    plan.strategy.steps.get(state.step.checked_sub(1)?).map(|s| &s.kind)
}
