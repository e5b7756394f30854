//! A command or hook as a value: what `engine` runs, and the input document that it gets.

use std::time::Duration;

use serde::Serialize;

use crate::domain::run::hook::{HookId, HookPoint};
use crate::plan::model::hook::HookAction;
use crate::plan::model::{ClusterName, Shares};

/// A command or hook that is to run now.
#[derive(Debug, Clone, PartialEq)]
pub struct HookCall {
    /// Which one.
    pub id: HookId,
    /// Its name in the plan, if any.
    pub name: Option<String>,
    /// Text for messages: the command line, or the address without possible secrets.
    pub description: String,
    /// The command or web request.
    pub action: HookAction,
    /// Time-out, in real time.
    pub timeout: Duration,
    /// The input document.
    pub input: HookInput,
}

/// The JSON document that a command or the receiver of a web request gets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookInput {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The occasion.
    pub hook: HookPoint,
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
