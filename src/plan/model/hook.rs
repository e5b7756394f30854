//! Represents commands and hooks in the checked plan.

use std::time::Duration;

use super::metric::Header;

/// An entry of `strategy.hooks`: a command or a request before or after an event of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The hook's name; `None` if the plan gives no name.
    pub name: Option<String>,
    /// Whether the hook runs before the event; `false` if it runs after the event.
    pub before: bool,
    /// The event that the hook belongs to.
    pub occasion: HookEvent,
    /// The command to run or the request to send.
    pub action: HookAction,
    /// Maximum duration of one try, in real time.
    pub timeout: Duration,
    /// Whether a failure of the hook has the effect of a failed guard (`onFailure`).
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

/// A command or a request of a hook.
#[derive(Debug, Clone, PartialEq)]
pub enum HookAction {
    /// A program with its arguments.
    Exec(Vec<String>),
    /// A POST request.
    Http {
        /// The URL of the request.
        url: String,
        /// The headers of the request; the values are never written to the journal.
        headers: Vec<Header>,
    },
}

/// The commands of an `exec` step.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecCommand {
    /// The program with its arguments.
    pub command: Vec<String>,
    /// The command that reverses `command` in a rollback, if any.
    pub undo: Option<Vec<String>>,
    /// Maximum duration of one try of either command, in real time.
    pub timeout: Duration,
}
