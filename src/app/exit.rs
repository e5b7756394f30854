//! The table of exit codes, a contract with schedulers and scripts. Other modules map their errors and endings to it.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::base::finding::Source;
use crate::port::store::StoreError;

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// The request is done, and was read back.
    Done = 0,
    /// Internal error; nothing was written.
    Internal = 1,
    /// The command line or the plan is wrong; nothing was touched.
    Usage = 2,
    /// Preflight refused; nothing was touched.
    Refused = 3,
    /// A gate failed, or the run was aborted; traffic is back where it started, and was read back.
    RolledBack = 4,
    /// Traffic is not where it should be: an operator must act.
    Stuck = 5,
    /// Someone else owns the lock.
    Locked = 6,
    /// Someone else changed a route; nothing more was raised.
    Drift = 7,
    /// The run waits for an approval, a window, a bake or a pause.
    Waiting = 8,
    /// The run is paused and can be resumed.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in order.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Refused,
        Self::RolledBack,
        Self::Stuck,
        Self::Locked,
        Self::Drift,
        Self::Waiting,
        Self::Interrupted,
    ];

    /// The number that the shell sees: 0–8 or 130.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of the code, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the command did what was asked; writes were read back",
            Self::Internal => "internal error; nothing was written",
            Self::Usage => "the command line or the plan is wrong; nothing was touched",
            Self::Refused => "preflight refused; nothing was touched",
            Self::RolledBack => "gate failed or run aborted; traffic is restored and was read back",
            Self::Stuck => "traffic is NOT where it should be: a person must act; see the message",
            Self::Locked => "someone else owns the lock",
            Self::Drift => "drift: someone else changed a route; no more shares are raised",
            Self::Waiting => "waiting: an approval, a window, a bake, a pause",
            Self::Interrupted => "interrupted; the run is paused and can be resumed",
        }
    }

    /// The exit code of `abort` and `rollback`: 0 when the traffic is rolled back.
    #[must_use]
    pub fn done_if_rolled_back(self) -> Self {
        if self == Self::RolledBack { Self::Done } else { self }
    }

    /// The table of these codes for help texts, one code a line.
    pub fn table(codes: &[Self]) -> String {
        let rows: Vec<_> = codes.iter().map(|e| format!("  {:>3}  {}", e.code(), e.meaning())).collect();
        rows.join("\n")
    }
}

impl From<Source> for Exit {
    /// The exit code of a refusal because of a finding from this source.
    fn from(source: Source) -> Self {
        match source {
            Source::Lint => Self::Usage,
            Source::Preflight | Source::Compare => Self::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed, with the exit code and what to type next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error; its causes are shown below it.
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do next, one line each: commands or explanations.
    pub next: Vec<String>,
}

impl Failure {
    /// A failure. A plain string is an error, too.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, error: error.into(), next: Vec::new() }
    }

    /// Adds a line to what to do next.
    #[must_use]
    pub fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }
}

impl fmt::Display for Failure {
    /// Writes the error, its chain of causes, then what to do next. A cause that its parent already quotes is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.error.to_string();
        write!(f, "error: {said}")?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, "\n  because {text}")?;
                said = text;
            }
            cause = error.source();
        }
        self.next.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// The failure of a store that could not be used before anything was changed.
pub fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unusable { .. } => Failure::new(Exit::Refused, error)
            .next("nothing was touched; cutover does not use another lock or journal instead")
            .next("to roll back without it: cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS"),
        other => Failure::new(Exit::Internal, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the routes of alpha-webapp")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("throttled")]
    struct Inner;

    #[test]
    fn a_failure_shows_its_causes_and_the_way_on() {
        let failure = Failure::new(Exit::Stuck, Outer(Inner)).next("cutover rollback alpha-webapp");
        assert_eq!(
            failure.to_string(),
            "error: cannot read the routes of alpha-webapp\n  because throttled\n  cutover rollback alpha-webapp"
        );
    }

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
