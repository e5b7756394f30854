//! Actions of a run outside the load balancer: commands of `exec` steps, their undo commands, and hooks. Only the
//! values; `engine` executes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::model::hook::Action;
use crate::plan::model::{ClusterName, Shares};

/// Identifies one command or hook of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookId {
    /// The occasion.
    pub at: Occasion,
    /// Its step, from 1; 0 if it belongs to no step.
    #[serde(default)]
    pub step: usize,
    /// The number of the plan's hook, from 1; 0 for the command of an `exec` step.
    #[serde(default)]
    pub number: usize,
}

/// When a command or hook is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Occasion {
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
    /// After `beforeFinish`; its result changes nothing.
    AfterFinish,
}

impl Occasion {
    /// Whether it belongs to a rollback.
    pub fn of_rollback(self) -> bool {
        matches!(self, Self::Undo | Self::BeforeRollback | Self::AfterRollback)
    }

    /// The spelling in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Undo => "undo",
            Self::BeforeBind => "beforeBind",
            Self::AfterBind => "afterBind",
            Self::BeforeShift => "beforeShift",
            Self::AfterShift => "afterShift",
            Self::BeforeRollback => "beforeRollback",
            Self::AfterRollback => "afterRollback",
            Self::BeforeFinish => "beforeFinish",
            Self::AfterFinish => "afterFinish",
        }
    }
}

/// The result of a command or hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookResult {
    /// It succeeded.
    Well,
    /// It failed or timed out.
    Failed,
    /// It was ended because a rollback started.
    Ended,
}

/// A command or hook that is to run now.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// Which one.
    pub id: HookId,
    /// Its name in the plan, if any.
    pub name: Option<String>,
    /// Text for messages: the command line, or the address without possible secrets.
    pub what: String,
    /// The command or web request.
    pub action: Action,
    /// Time-out, in real time.
    pub timeout: Duration,
    /// The input document.
    pub told: Told,
}

/// The JSON document that a command or the receiver of a web request gets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The occasion.
    pub hook: Occasion,
    /// The step, from 1; 0: none.
    pub step: usize,
    /// The label of the step in the plan.
    pub label: String,
    /// The old cluster.
    pub from: ClusterName,
    /// The new cluster.
    pub to: ClusterName,
    /// The shares after this step, in percent. For a rollback, and before the first share step where the plan names
    /// them, the shares at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// The cause of the rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
