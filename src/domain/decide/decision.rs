//! The output of a decision, as data. The code that executes a decision belongs in `engine`.

use jiff::Timestamp;

use crate::domain::hand_over::{ItemIntent, ItemPlace};
use crate::domain::run::event::{BindingStart, Event, RunOutcome, StopReason, Wait, WaitReason, Write};
use crate::domain::run::hook::HookId;

/// The next action of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Journal these events, then decide again.
    Record(Vec<Event>),
    /// Read the health of these groups now, then decide again.
    ReadHealth(Vec<String>),
    /// Read every route and list all rules now, then decide again.
    ReadRoutes,
    /// Write these routes.
    Write(Batch),
    /// Start this command or hook in the background, and journal the start and the end.
    StartHook(HookId),
    /// Read these items now, then decide again.
    ReadItems(Vec<ItemPlace>),
    /// Journal this intent, stop or start the item, and read it back.
    MoveItem(ItemIntent),
    /// Create or verify these bindings.
    Bind(Vec<BindingStart>),
    /// Delete the bindings in this list that this program manages.
    Unbind(Vec<BindingStart>),
    /// Plan, make, search or remove header rules.
    HeaderRules(HeaderTask),
    /// Do nothing until the next observation.
    Wait(Vec<Wait>),
    /// Exit the process, with a message for the operator, because it cannot continue the run.
    Exit(StopReason, String),
    /// The run has ended.
    Finished(RunOutcome),
}

/// A task about header rules.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderTask {
    /// Read the rules, and plan the header rules of the step.
    Plan,
    /// Create the header rules that have these numbers in the state of the run.
    Create(Vec<u32>),
    /// Search the rules that were sent and of which it is not known whether they exist.
    Find,
    /// Remove the rules with these numbers.
    Remove(Vec<u32>),
}

/// The writes of one step or rollback, for all routes that still need a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whether the writes restore the original shares.
    pub restore: bool,
    /// The writes. The executor may send some writes now and the others in the next loop iteration.
    pub writes: Vec<Write>,
    /// The groups that the batch raises. Each write needs a fresh reading of the groups that it raises
    /// ([`judge_chunk`](super::judge_chunk)).
    pub raised_groups: Vec<String>,
    /// The numbers of the header rules that are removed as soon as no write is ready to be sent.
    pub header_rules: Vec<u32>,
}

/// Options of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessOptions {
    /// The last step to execute: the process exits before the next step (`--until`).
    pub until_step: Option<usize>,
    /// From this time on, the process exits as soon as the run only waits and nothing is in progress (`cutover step`).
    /// `None` if the process does not exit then.
    pub exit_after: Option<Timestamp>,
}

pub fn wait(reason: WaitReason, message: impl Into<String>, until: Option<Timestamp>) -> Decision {
    Decision::Wait(vec![Wait { reason, message: message.into(), until }])
}
