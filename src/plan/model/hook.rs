//! Commands and hooks in the checked plan.

use std::time::Duration;

use super::metric::Header;

/// `strategy.hooks[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whether it runs before the event; `false`: after it.
    pub before: bool,
    /// The event.
    pub occasion: HookEvent,
    /// The command or the request.
    pub action: HookAction,
    /// Maximum duration of one try, in real time.
    pub timeout: Duration,
    /// Whether its failure is a failure of the run.
    pub fails_run: bool,
}

/// The event that a hook runs before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// Each `bind`.
    Bind,
    /// Each step that moves a share.
    Shift,
    /// A rollback.
    Rollback,
    /// The end of a run that has done all of its steps.
    Finish,
}

/// A command or a request.
#[derive(Debug, Clone, PartialEq)]
pub enum HookAction {
    /// A program with its arguments.
    Exec(Vec<String>),
    /// A POST request.
    Http {
        /// The URL.
        url: String,
        /// Headers; their values are never journalled.
        headers: Vec<Header>,
    },
}

/// An `exec` step.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecCommand {
    /// A program with its arguments.
    pub command: Vec<String>,
    /// The command that reverses it.
    pub undo: Option<Vec<String>>,
    /// Maximum duration of one try of either command, in real time.
    pub timeout: Duration,
}
