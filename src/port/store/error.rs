//! The errors of the store, as values that the engine can tell apart and journal.

use std::io::ErrorKind;
use std::path::Path;

use crate::domain::run::journal::DamagedJournal;
use crate::port::store::{LockOwner, emergency_command};

/// Why an operation of the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store contains no run with this id.
    #[error("there is no run `{run}` in {place}")]
    NoSuchRun {
        /// The run id that the caller asked for.
        run: String,
        /// The store that was searched.
        place: String,
    },
    /// A run with this id already exists.
    #[error("the run `{0}` already exists")]
    Exists(String),
    /// The journal is damaged and must not be used.
    #[error(
        "the journal {path} is damaged, line {line}: {why}\nThe journal is not used. To roll back without it:\n  \
         {emergency}"
    )]
    Corrupt {
        /// The location of the journal.
        path: String,
        /// The number of the first damaged line, counted from 1.
        line: usize,
        /// The reason why that line is damaged.
        why: String,
        /// The command that rolls back without a journal, with the names that the intact part of the journal contains.
        emergency: String,
    },
    /// The disk is full, or its quota is reached.
    #[error("no space left for {0}")]
    Full(String),
    /// Another process is writing this journal.
    #[error("{0} is being written by another process")]
    Busy(String),
    /// None of `--state-dir`, `XDG_STATE_HOME` and `HOME` is set.
    #[error("there is no directory for state: set --state-dir, XDG_STATE_HOME or HOME")]
    NoLocation,
    /// The shared store cannot be reached, or refuses the request. Local state is never used instead.
    #[error("the shared state in {place} cannot be used: {why}")]
    Unusable {
        /// The namespace and the cluster of the shared store.
        place: String,
        /// The reason why the shared store cannot be used.
        why: String,
    },
    /// Any other failure of a file operation.
    #[error("{path}: {message}")]
    Io {
        /// The path of the file.
        path: String,
        /// The error message of the operating system.
        message: String,
    },
}

impl StoreError {
    /// Wraps a file error. Returns [`StoreError::Full`] for a full disk or quota.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, message: error.to_string() },
        }
    }

    /// Builds the error of a damaged journal, with the emergency command that its intact part allows.
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
    /// Another process holds the lock.
    #[error(
        "{} on {} (process {}) has held the lock since {} for the run {}",
        .0.owner, .0.host, .0.pid, .0.since, .0.run
    )]
    HeldBy(Box<LockOwner>),
    /// The lock file cannot be created or read.
    #[error("cannot use the lock file: {0}")]
    Io(StoreError),
}
