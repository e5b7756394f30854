//! What is decided, as data.

use jiff::Timestamp;

use crate::domain::run::event::{BindingStart, Event, Outcome, Stop, Wait, WaitReason, Write};
use crate::domain::run::hook::HookId;

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
    /// Groups that it raises: each write asks for a fresh reading of its own ([`clear`](super::clear)).
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

pub fn wait(reason: WaitReason, message: impl Into<String>, until: Option<Timestamp>) -> Decision {
    Decision::Wait(vec![Wait { reason, message: message.into(), until }])
}
