//! Represents what the journal records about commands of `exec` steps, undo commands, and hooks.

use serde::{Deserialize, Serialize};

use crate::base::text::word;

/// Identifies one command or hook of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookId {
    /// The occasion of the command or hook.
    pub at: HookPoint,
    /// The number of the step, from 1; 0 if the hook belongs to no step.
    #[serde(default)]
    pub step: usize,
    /// The number of the plan's hook, from 1; 0 for the command of an `exec` step.
    #[serde(default)]
    pub number: usize,
}

/// The occasion of a command or hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookPoint {
    /// An `exec` step runs.
    Command,
    /// A rollback undoes an `exec` step.
    Undo,
    /// Before the gates of a `bind` step.
    BeforeBind,
    /// After a `bind` step has settled.
    AfterBind,
    /// Before the gates of a step that moves shares.
    BeforeShift,
    /// After a step that moves shares has settled.
    AfterShift,
    /// Together with the writes of a rollback.
    BeforeRollback,
    /// After all routes are restored.
    AfterRollback,
    /// After the last step.
    BeforeFinish,
    /// After the hooks `beforeFinish`. The result has no effect.
    AfterFinish,
}

impl HookPoint {
    /// Whether the occasion belongs to a rollback.
    pub fn is_rollback(self) -> bool {
        matches!(self, Self::Undo | Self::BeforeRollback | Self::AfterRollback)
    }

    /// Returns the name in the journal.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// The result of a command or hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookResult {
    /// The command or hook succeeded.
    Succeeded,
    /// The command or hook failed or timed out.
    Failed,
    /// The command or hook was stopped because a rollback started.
    Interrupted,
}
