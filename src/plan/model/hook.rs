//! Commands and hooks, as the rest of the crate sees them.

use std::time::Duration;

use super::metric::Header;

/// `strategy.hooks[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Before or after it.
    pub before: bool,
    /// What it is about.
    pub occasion: Occasion,
    /// What is done.
    pub action: Action,
    /// For one try, in real time.
    pub timeout: Duration,
    /// Whether its failure is the run's.
    pub must: bool,
}

/// What a hook comes before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Each `bind`.
    Bind,
    /// Each step that moves a share.
    Shift,
    /// A rollback.
    Rollback,
    /// The end of a run that has done all of its steps.
    Finish,
}

/// What is done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A program with its arguments.
    Exec(Vec<String>),
    /// A POST.
    Http {
        /// Where to.
        url: String,
        /// With these headers, whose values enter no journal.
        headers: Vec<Header>,
    },
}

/// An `exec` step.
#[derive(Debug, Clone, PartialEq)]
pub struct Exec {
    /// A program with its arguments.
    pub command: Vec<String>,
    /// What takes it back.
    pub undo: Option<Vec<String>>,
    /// For one try of either, in real time.
    pub timeout: Duration,
}
