//! The output of a decision, as data. How a decision is executed belongs in `engine`.

use jiff::Timestamp;

use crate::domain::run::event::{BindingStart, Event, RunOutcome, StopReason, Wait, WaitReason, Write};
use crate::domain::run::hook::HookId;

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Journal these events, then decide again.
    Record(Vec<Event>),
    /// Read the health of these groups now, then decide again.
    ReadHealth(Vec<String>),
    /// Write these routes.
    Write(Batch),
    /// Start this command or hook in the background; journal its start and end.
    StartHook(HookId),
    /// Create or verify these bindings.
    Bind(Vec<BindingStart>),
    /// Delete these bindings, unless they are not ours.
    Unbind(Vec<BindingStart>),
    /// Do nothing until the next observation.
    Wait(Vec<Wait>),
    /// This process can do no more: exit, with a message for the operator.
    Exit(StopReason, String),
    /// The run has ended.
    Finished(RunOutcome),
}

/// The writes of one step or rollback, over all routes that still need one.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whether the writes restore the original shares.
    pub restore: bool,
    /// The writes. The executor may send some now and leave the rest for the next turn.
    pub writes: Vec<Write>,
    /// Groups that it raises. Each write needs a fresh reading of its own groups ([`clear`](super::judge_chunk)).
    pub raised_groups: Vec<String>,
}

/// Options of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessOptions {
    /// Exit before the step after this one (`--until`).
    pub until_step: Option<usize>,
    /// From this time on, exit as soon as the run only waits and nothing is in progress (`step`); `None`: stay.
    pub exit_after: Option<Timestamp>,
}

pub fn wait(reason: WaitReason, message: impl Into<String>, until: Option<Timestamp>) -> Decision {
    Decision::Wait(vec![Wait { reason, message: message.into(), until }])
}
