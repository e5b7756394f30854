//! The journal file of a run. One writer appends records. Each append is synced before it returns. An incomplete record
//! at the end is removed after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::private_file;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{DamagedJournal, Parsed, format_line, parse};
use crate::port::store::StoreError;

/// The name of the journal file in the run's folder.
pub(super) const JOURNAL_FILE: &str = "journal.jsonl";

/// The journal that was read last. A command reads the journal of its run several times before it acts, and a journal
/// can have ten thousand records. Unchanged bytes are not parsed again.
#[derive(Debug, Default)]
pub(super) struct CachedJournal {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The records of the journal.
    pub(super) records: Arc<Vec<Record>>,
    /// The checksum of the last record.
    sum: String,
    torn: bool,
    valid_length: usize,
    open_line: bool,
}

impl CachedJournal {
    /// Reads the records of a journal.
    pub(super) fn read(&mut self, path: &Path) -> Result<&Self, StoreError> {
        let mut file = File::open(path).map_err(|e| StoreError::io(path, &e))?;
        self.read_from(path, &mut file)
    }

    /// Reads a journal from an open file.
    fn read_from(&mut self, path: &Path, file: &mut File) -> Result<&Self, StoreError> {
        let io = |e: std::io::Error| StoreError::io(path, &e);
        if self.path == path && has_bytes(file, &self.bytes).map_err(io)? {
            return Ok(self);
        }
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(io)?;
        self.parse(path, bytes).map_err(|c| StoreError::corrupt(path.display().to_string(), &c))
    }

    /// Parses the bytes of a journal file, unless they are the cached bytes.
    pub(super) fn parse(&mut self, path: &Path, bytes: Vec<u8>) -> Result<&Self, DamagedJournal> {
        if self.path != path || self.bytes != bytes {
            self.forget();
            let parsed = parse(&bytes)?;
            let sum = parsed.last_checksum().to_owned();
            let Parsed { records, torn, valid_bytes: valid_length, unterminated: open, .. } = parsed;
            *self = Self {
                path: path.to_owned(),
                bytes,
                records: Arc::new(records),
                sum,
                torn,
                valid_length,
                open_line: open,
            };
        }
        Ok(self)
    }

    /// Discards the cached journal.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Returns whether a file has exactly these bytes.
fn has_bytes(file: &mut File, bytes: &[u8]) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let (mut rest, mut piece) = (bytes, vec![0; 64 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(rest.is_empty()),
            n => match rest.strip_prefix(&piece[..n]) {
                Some(after) => rest = after,
                None => return Ok(false),
            },
        }
    }
}

/// Appends records to a journal file.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    run: String,
    /// The length of the file after the last record that was read or written; `None` if it was not read yet.
    end: Option<u64>,
    seq: u64,
    sum: String,
}

impl Writer {
    pub(super) fn open(path: PathBuf, run: &str) -> Result<Self, StoreError> {
        let file = private_file().open(&path).map_err(|e| StoreError::io(&path, &e))?;
        Ok(Self { path, file, run: run.to_owned(), end: None, seq: 0, sum: String::new() })
    }

    /// Appends a record under the file's own lock. After a takeover, two processes may each append one more record, and
    /// these records must not interleave.
    pub(super) fn append(
        &mut self,
        cached: &mut CachedJournal,
        time: Timestamp,
        event: &Event,
    ) -> Result<Record, StoreError> {
        lock(&self.file, &self.path)?;
        let done = self.append_locked(cached, time, event);
        let unlocked = self.file.unlock().map_err(|e| StoreError::io(&self.path, &e));
        done.and_then(|record| unlocked.map(|()| record))
    }

    fn append_locked(
        &mut self,
        cached: &mut CachedJournal,
        time: Timestamp,
        event: &Event,
    ) -> Result<Record, StoreError> {
        let length = self.file.metadata().map_err(|e| StoreError::io(&self.path, &e))?.len();
        let end = match self.end {
            Some(end) if end == length => end,
            _ => self.catch_up(cached)?,
        };
        cached.forget(); // the cache is outdated now, and may have ten thousand records
        let record = Record::new(self.seq + 1, time, self.run.clone(), event.clone());
        let (text, sum) = format_line(&self.sum, &record).map_err(|e| StoreError::Io {
            path: self.path.display().to_string(),
            message: format!("the record cannot be written as JSON: {e}"),
        })?;
        if let Err(error) = self.write(end, text.as_bytes()) {
            // Truncates the incomplete record if possible. Otherwise the next reader removes it.
            let _ = self.file.set_len(end);
            return Err(StoreError::io(&self.path, &error));
        }
        self.end = Some(end + text.len() as u64);
        self.seq = record.seq;
        self.sum = sum;
        Ok(record)
    }

    /// Reads the file, removes an incomplete record and completes an open line. Returns the offset of the next record.
    fn catch_up(&mut self, cached: &mut CachedJournal) -> Result<u64, StoreError> {
        let path = self.path.clone();
        let io = |e: std::io::Error| StoreError::io(&path, &e);
        let journal = cached.read_from(&path, &mut self.file)?;
        let mut end = journal.valid_length as u64;
        if journal.torn {
            self.file.set_len(end).map_err(io)?;
        }
        if journal.open_line {
            self.write(end, b"\n").map_err(io)?;
            end += 1;
        }
        self.seq = journal.records.len() as u64;
        journal.sum.clone_into(&mut self.sum);
        Ok(end)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

/// Locks the file. Waits at most one second, because an append takes milliseconds, and a process that was suspended
/// during an append must not delay a rollback.
fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    for _ in 0..100 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(StoreError::io(path, &error)),
        }
    }
    Err(StoreError::Busy(path.display().to_string()))
}
