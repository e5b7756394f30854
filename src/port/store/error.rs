//! What can go wrong with the store, as values that the engine can tell apart and hold.

use std::io::ErrorKind;
use std::path::Path;

use crate::domain::run::journal::Corrupt;
use crate::port::store::{Holder, emergency};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such run.
    #[error("no run `{run}` in {place}")]
    NoSuchRun {
        /// What was asked for.
        run: String,
        /// Where it was looked for.
        place: String,
    },
    /// The run exists already.
    #[error("the run `{0}` exists already")]
    Exists(String),
    /// The journal must not be believed.
    #[error(
        "the journal {path} is damaged, line {line}: {why}\nIt is not used. To put the traffic back without it:\n  {emergency}"
    )]
    Corrupt {
        /// The journal's place.
        path: String,
        /// The first bad line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
        /// The command that puts the traffic back without a journal, with names where the intact part has them.
        emergency: String,
    },
    /// The disk, or the quota on it, is full.
    #[error("no space left for {0}")]
    Full(String),
    /// Another process is writing this journal.
    #[error("{0} is being written by another process")]
    Busy(String),
    /// Neither `--state-dir`, `XDG_STATE_HOME` nor `HOME` says where state lives.
    #[error("no place for state: set --state-dir, XDG_STATE_HOME or HOME")]
    NoPlace,
    /// The shared place cannot be reached, or refuses. A local one never stands in for it.
    #[error("the shared state in {place} cannot be used: {why}")]
    Unusable {
        /// The namespace and the cluster.
        place: String,
        /// Why.
        why: String,
    },
    /// Any other trouble with a file.
    #[error("{path}: {message}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        message: String,
    },
}

impl StoreError {
    /// What the system said about a file; a full disk is told apart.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, message: error.to_string() },
        }
    }

    /// A journal that must not be believed, with the emergency command that its intact part allows.
    pub fn corrupt(path: String, corrupt: &Corrupt) -> Self {
        Self::Corrupt { path, line: corrupt.line, why: corrupt.why.to_string(), emergency: emergency(&corrupt.prefix) }
    }
}

/// Why a lock was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Someone has it.
    #[error("{} on {} (process {}) holds the lock since {} for the run {}", .0.owner, .0.host, .0.pid, .0.since, .0.run)]
    HeldBy(Box<Holder>),
    /// The lock file cannot be made or read.
    #[error("lock: {0}")]
    Io(StoreError),
}
