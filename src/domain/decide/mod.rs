//! The only place where it is determined what happens next.
//!
//! [`decide`] looks at the plan, the state (what the journal says) and the watch (what was seen lately) and returns one [`Decision`]. The
//! shell carries it out and asks again. Order matters: first what the world did to us, then what protects the traffic, then what moves it.

mod detach;
pub mod finalize;
pub mod goal;
mod guard;
mod hold;
mod hooks;
pub mod hours;
mod leaving;
pub mod metrics;
pub mod newer;
mod ramp;
mod reconcile;
pub mod rival;
mod rollback;
mod steps;
#[cfg(test)]
mod story;
mod way_back;

use jiff::Timestamp;

use crate::domain::run::event::{BindingStart, Event, Outcome, Stop, Wait, WaitReason, Write};
use crate::domain::run::hook::HookId;
use crate::domain::run::state::{Phase, State};
use crate::domain::run::watch::{Marker, Watch};
use crate::plan::model::Plan;

pub use detach::old as old_group;
pub use guard::{carrying, family_total};
pub use hold::blind;
pub use hooks::{action as errand_line, errand, line as command_line, when as hook_when};
pub use leaving::{carries_on, stop};
pub use steps::label;
pub use way_back::{WayBack, carriers, way_back};

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Journal these, then decide again.
    Record(Vec<Event>),
    /// Look at these groups' health now, then decide again.
    Look(Vec<String>),
    /// Write these routes.
    Write(Batch),
    /// Carry this out beside everything else, and journal that before and after.
    Call(HookId),
    /// Make or verify these bindings.
    Bind(Vec<BindingStart>),
    /// Delete these bindings, as far as they are ours.
    Unbind(Vec<BindingStart>),
    /// Nothing until the next look.
    Wait(Vec<Wait>),
    /// This process can do no more: leave, with what a person must know.
    Leave(Stop, String),
    /// The run is over.
    Done(Outcome),
}

/// One step, or one rollback, over all routes that still need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whether it restores.
    pub restore: bool,
    /// The writes; the executor may do some now and leave the rest to the next turn.
    pub writes: Vec<Write>,
    /// Groups that it raises: their last look must be fresh right before each write.
    pub raises: Vec<String>,
}

/// What the person at this process asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// Stop before the step after this one.
    pub until: Option<usize>,
    /// From this time on leave as soon as there is only waiting left and nothing is in the middle (`step`); `None`: stay.
    pub leave: Option<Timestamp>,
}

/// Decides. Pure: the same arguments give the same decision.
pub fn decide(plan: &Plan, state: &State, watch: &Watch, orders: Orders, now: Timestamp) -> Decision {
    match next(plan, state, watch, orders, now) {
        Decision::Wait(waits) => leaving::decide(plan, state, watch, orders, waits, now),
        decision => decision,
    }
}

/// What happens next, whoever waits for how long.
fn next(plan: &Plan, state: &State, watch: &Watch, orders: Orders, now: Timestamp) -> Decision {
    if let Some(outcome) = state.finished {
        return Decision::Done(outcome);
    }
    if let Some(Marker::Other(owner)) = &watch.marker {
        return Decision::Leave(Stop::Lock, format!("another run has taken over this load balancer: {owner}"));
    }
    let seen = reconcile::events(state, watch);
    if !seen.is_empty() {
        return Decision::Record(seen);
    }
    if state.phase == Phase::RollingBack {
        return rollback::decide(plan, state, watch, now);
    }
    if state.phase == Phase::Detaching {
        let newer = newer::wait(plan, state).map(|wait| Decision::Wait(vec![wait]));
        return newer.unwrap_or_else(|| detach::decide(plan, state, watch, now));
    }
    let news = metrics::news(plan, state, watch, now);
    if !news.is_empty() {
        return Decision::Record(news);
    }
    guard::decide(plan, state, watch, now)
        .or_else(|| hold::decide(plan, state, watch, now))
        .unwrap_or_else(|| steps::decide(plan, state, watch, orders, now))
}

fn wait(reason: WaitReason, message: impl Into<String>, until: Option<Timestamp>) -> Decision {
    Decision::Wait(vec![Wait { reason, message: message.into(), until }])
}

#[cfg(test)]
mod tests;
