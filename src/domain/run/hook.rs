//! What a run has done outside of itself: commands of `exec` steps, what takes them back, and hooks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::model::hook::Action;
use crate::plan::model::{ClusterName, Shares};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookId {
    /// On which occasion.
    pub at: Occasion,
    /// The step that it belongs to, from 1; 0: to none.
    #[serde(default)]
    pub step: usize,
    /// Which of the plan's hooks, from 1; 0: a step's own command.
    #[serde(default)]
    pub number: usize,
}

/// When it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Occasion {
    /// It is a step.
    Command,
    /// A rollback takes a step back.
    Undo,
    /// Before the gates of a `bind`.
    BeforeBind,
    /// Once it is settled.
    AfterBind,
    /// Before the gates of a step that moves shares.
    BeforeShift,
    /// Once it is settled.
    AfterShift,
    /// Beside the writes of a rollback.
    BeforeRollback,
    /// Once everything is back.
    AfterRollback,
    /// After the last step.
    BeforeFinish,
    /// After that, too: what comes of it changes nothing.
    AfterFinish,
}

impl Occasion {
    /// Whether it belongs to a rollback.
    pub fn of_rollback(self) -> bool {
        matches!(self, Self::Undo | Self::BeforeRollback | Self::AfterRollback)
    }

    /// As the journal spells it.
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

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookResult {
    /// It went well.
    Well,
    /// It did not, or took too long.
    Failed,
    /// The run turned round in the meantime, and it was ended.
    Ended,
}

/// What is to be done outside now.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// Which one it is.
    pub id: HookId,
    /// Its name in the plan, where it has one.
    pub name: Option<String>,
    /// In words: the command line, or the address without what may be secret in it.
    pub what: String,
    /// What is done.
    pub action: Action,
    /// For how long, in real time.
    pub timeout: Duration,
    /// What it is told.
    pub told: Told,
}

/// What a command or the receiver of a request is told, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// On which occasion.
    pub hook: Occasion,
    /// The step, from 1; 0: none.
    pub step: usize,
    /// The step in the plan's words.
    pub label: String,
    /// The cluster that the traffic comes from.
    pub from: ClusterName,
    /// The cluster that it moves to.
    pub to: ClusterName,
    /// The shares that are to hold then, in percent; of a rollback and before the first share step, where the plan says so, those of the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// Why it goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
