//! The table of exit codes, which schedulers and scripts rely on. Other modules map errors and endings to these codes.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::base::finding::Source;
use crate::port::store::StoreError;

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// The command did what was asked, and writes were read back.
    Done = 0,
    /// An internal error occurred; nothing was written.
    Internal = 1,
    /// The command line or the plan is wrong; nothing was changed.
    Usage = 2,
    /// Preflight refused the run; nothing was changed.
    Refused = 3,
    /// A gate failed, or the run was aborted. The original shares are restored and were read back.
    RolledBack = 4,
    /// The traffic is not where the run should have left it; an operator must act.
    Stuck = 5,
    /// Another process or person owns the lock.
    Locked = 6,
    /// Another tool or person changed a route; no more shares were raised.
    Drift = 7,
    /// The run is waiting for an approval, a time window, or the end of a bake or pause; or it is frozen, because gates
    /// did not pass in time.
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

    /// Returns the number that the shell receives: 0–8 or 130.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the meaning of the code in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the command did what was asked; writes were read back",
            Self::Internal => "internal error; nothing was written",
            Self::Usage => "the command line or the plan is wrong; nothing was changed",
            Self::Refused => "preflight refused; nothing was changed",
            Self::RolledBack => "gate failed or run aborted; traffic is restored and was read back",
            Self::Stuck => "traffic is NOT where it should be: a person must act; see the message",
            Self::Locked => "someone else owns the lock",
            Self::Drift => "drift: someone else changed a route; no more shares are raised",
            Self::Waiting => "waiting (approval, hours, bake, pause), or frozen: gates did not pass in time",
            Self::Interrupted => "interrupted; the run is paused and can be resumed",
        }
    }

    /// Converts the exit code for `abort` and `rollback`, which return 0 when the traffic is rolled back.
    #[must_use]
    pub fn done_if_rolled_back(self) -> Self {
        if self == Self::RolledBack { Self::Done } else { self }
    }

    /// Returns the table of these codes for help texts, one code per line.
    pub fn table(codes: &[Self]) -> String {
        let rows: Vec<_> = codes.iter().map(|e| format!("  {:>3}  {}", e.code(), e.meaning())).collect();
        rows.join("\n")
    }
}

impl From<Source> for Exit {
    /// Returns the exit code of a refusal because of a finding from this source.
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

/// The reason why a command failed, with the exit code and what to type next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code of the command.
    pub exit: Exit,
    /// The error. Its causes are shown below it.
    pub error: Box<dyn Error + Send + Sync>,
    /// The next steps of the operator, one per line: commands or explanations.
    pub next: Vec<String>,
    /// Whether an operator answered no: this is not an error.
    pub declined: bool,
}

impl Failure {
    /// Creates a failure without next steps. A plain string is also accepted as an error.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, error: error.into(), next: Vec::new(), declined: false }
    }

    /// Creates the failure of a command whose question an operator answered with no. `meaning` says what the answer
    /// means.
    pub fn declined(meaning: &str) -> Self {
        Self { declined: true, ..Self::new(Exit::Usage, meaning) }
    }

    /// Adds one line to the next steps.
    #[must_use]
    pub fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }
}

impl fmt::Display for Failure {
    /// Writes the error, its chain of causes, then the next steps. Omits a cause that its parent already quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = self.error.to_string();
        write!(f, "{}{printed}", if self.declined { "" } else { "error: " })?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !printed.contains(&text) {
                write!(f, "\n  because {text}")?;
                printed = text;
            }
            cause = error.source();
        }
        self.next.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Builds the failure of a store that could not be used. Nothing was changed before.
pub fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unusable { .. } => Failure::new(Exit::Refused, error)
            .next("nothing was changed; cutover does not use another lock or journal instead")
            .next(
                "to roll back without state: cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS",
            ),
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
    fn failure_shows_its_causes_and_what_to_type_next() {
        let failure = Failure::new(Exit::Stuck, Outer(Inner)).next("cutover rollback alpha-webapp");
        assert_eq!(
            failure.to_string(),
            "error: cannot read the routes of alpha-webapp\n  because throttled\n  cutover rollback alpha-webapp"
        );
    }

    #[test]
    fn an_answer_of_no_is_not_called_an_error() {
        let failure = Failure::declined("not started; nothing was changed");
        assert_eq!((failure.to_string().as_str(), failure.exit), ("not started; nothing was changed", Exit::Usage));
    }

    #[test]
    fn exit_codes_match_the_documentation() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
