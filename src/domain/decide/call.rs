//! Represents a command or hook that `engine` runs, and the input document of the command or hook.

use std::time::Duration;

use serde::Serialize;

use crate::domain::run::hook::{HookId, HookPoint};
use crate::plan::model::hook::HookAction;
use crate::plan::model::{ClusterName, Shares};

/// A command or hook to run now.
#[derive(Debug, Clone, PartialEq)]
pub struct HookCall {
    /// The id of the command or hook.
    pub id: HookId,
    /// The name in the plan, if any.
    pub name: Option<String>,
    /// The text for messages: the command line, or the address without possible secrets.
    pub description: String,
    /// The command or web request.
    pub action: HookAction,
    /// The time-out, in real time.
    pub timeout: Duration,
    /// The JSON document that the command or the receiver of the request gets.
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
    /// The occasion of the hook.
    pub hook: HookPoint,
    /// The number of the step, from 1; 0 if the hook belongs to no step.
    pub step: usize,
    /// The label of the step in the plan.
    pub label: String,
    /// The old cluster.
    pub from: ClusterName,
    /// The new cluster.
    pub to: ClusterName,
    /// The shares after this step, in percent. For a rollback, and before the first share step if the plan defines the
    /// shares at the start, these are the shares at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// The cause of the rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
