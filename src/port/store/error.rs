//! Errors of the store, as values that the engine can distinguish and store.

use std::io::ErrorKind;
use std::path::Path;

use crate::domain::run::journal::DamagedJournal;
use crate::port::store::{LockOwner, emergency_command};

/// Why an operation of the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such run.
    #[error("no run `{run}` in {place}")]
    NoSuchRun {
        /// The run that was asked for.
        run: String,
        /// Where it was searched.
        place: String,
    },
    /// The run already exists.
    #[error("the run `{0}` already exists")]
    Exists(String),
    /// The journal is damaged and must not be used.
    #[error(
        "the journal {path} is damaged, line {line}: {why}\nIt is not used. To restore the traffic without it:\n  \
         {emergency}"
    )]
    Corrupt {
        /// The journal's location.
        path: String,
        /// The first damaged line, from 1.
        line: usize,
        /// What is wrong with that line.
        why: String,
        /// The command that restores the traffic without a journal, with the names that the intact part contains.
        emergency: String,
    },
    /// The disk is full, or its quota is reached.
    #[error("no space left for {0}")]
    Full(String),
    /// Another process is writing this journal.
    #[error("{0} is being written by another process")]
    Busy(String),
    /// None of `--state-dir`, `XDG_STATE_HOME` and `HOME` is set.
    #[error("no location for state: set --state-dir, XDG_STATE_HOME or HOME")]
    NoLocation,
    /// The shared store cannot be reached, or refuses. Local state is never used instead.
    #[error("the shared state in {place} cannot be used: {why}")]
    Unusable {
        /// The namespace and the cluster.
        place: String,
        /// The reason.
        why: String,
    },
    /// Any other failure of a file operation.
    #[error("{path}: {message}")]
    Io {
        /// The file.
        path: String,
        /// The system's message.
        message: String,
    },
}

impl StoreError {
    /// Wraps a file error; a full disk has a variant of its own.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, message: error.to_string() },
        }
    }

    /// A damaged journal, with the emergency command that its intact part allows.
    pub fn corrupt(path: String, corrupt: &DamagedJournal) -> Self {
        Self::Corrupt {
            path,
            line: corrupt.line,
            why: corrupt.why.to_string(),
            emergency: emergency_command(&corrupt.prefix),
        }
    }
}

/// Why a lock was not acquired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{} on {} (process {}) holds the lock since {} for the run {}",
        .0.owner, .0.host, .0.pid, .0.since, .0.run
    )]
    HeldBy(Box<LockOwner>),
    /// The lock file cannot be created or read.
    #[error("lock: {0}")]
    Io(StoreError),
}
