//! A journal's file: appended by one writer, synced before an append returns, and cut back to its last whole record after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::private;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{Corrupt, Parsed, line, parse};
use crate::port::store::StoreError;

/// The file's name in its run's folder.
pub(super) const NAME: &str = "journal.jsonl";

/// The journal that was read last. A verb reads its run's journal several times before it does anything, and that may be ten thousand records:
/// what is there to the byte as it was is not parsed again.
#[derive(Debug, Default)]
pub(super) struct Known {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The records in it.
    pub(super) records: Arc<Vec<Record>>,
    /// The checksum of the last.
    sum: String,
    torn: bool,
    kept: usize,
    open: bool,
}

impl Known {
    /// A journal's records.
    pub(super) fn read(&mut self, path: &Path) -> Result<&Self, StoreError> {
        let mut file = File::open(path).map_err(|e| StoreError::io(path, &e))?;
        self.read_from(path, &mut file)
    }

    /// The same of a file that is open already.
    fn read_from(&mut self, path: &Path, file: &mut File) -> Result<&Self, StoreError> {
        let io = |e: std::io::Error| StoreError::io(path, &e);
        if self.path == path && same(file, &self.bytes).map_err(io)? {
            return Ok(self);
        }
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(io)?;
        self.parse(path, bytes).map_err(|c| StoreError::corrupt(path.display().to_string(), &c))
    }

    /// The same of bytes that were read from there.
    pub(super) fn parse(&mut self, path: &Path, bytes: Vec<u8>) -> Result<&Self, Corrupt> {
        if self.path != path || self.bytes != bytes {
            self.forget();
            let parsed = parse(&bytes)?;
            let sum = parsed.sum().to_owned();
            let Parsed { records, torn, kept, open, .. } = parsed;
            *self = Self { path: path.to_owned(), bytes, records: Arc::new(records), sum, torn, kept, open };
        }
        Ok(self)
    }

    /// Whoever writes need not read again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Whether a file has these bytes and no others.
fn same(file: &mut File, bytes: &[u8]) -> std::io::Result<bool> {
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

/// The end of a journal, ready for the next record.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    run: String,
    /// Bytes up to and with the last record that we know; `None`: not read yet.
    end: Option<u64>,
    seq: u64,
    sum: String,
}

impl Writer {
    pub(super) fn open(path: PathBuf, run: &str) -> Result<Self, StoreError> {
        let file = private().open(&path).map_err(|e| StoreError::io(&path, &e))?;
        Ok(Self { path, file, run: run.to_owned(), end: None, seq: 0, sum: String::new() })
    }

    /// Appends under the file's own lock: after a take-over two processes may each want a last word, and their records must not interleave.
    pub(super) fn append(&mut self, known: &mut Known, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        lock(&self.file, &self.path)?;
        let done = self.append_locked(known, time, event);
        let unlocked = self.file.unlock().map_err(|e| StoreError::io(&self.path, &e));
        done.and_then(|record| unlocked.map(|()| record))
    }

    fn append_locked(&mut self, known: &mut Known, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let length = self.file.metadata().map_err(|e| StoreError::io(&self.path, &e))?.len();
        let end = match self.end {
            Some(end) if end == length => end,
            _ => self.catch_up(known)?,
        };
        known.forget(); // it is outdated now, and may be ten thousand records
        let record = Record { seq: self.seq + 1, time, run: self.run.clone(), event: event.clone(), newer: None };
        let (text, sum) = line(&self.sum, &record).map_err(|e| StoreError::Io {
            path: self.path.display().to_string(),
            message: format!("a record that is not JSON: {e}"),
        })?;
        if let Err(error) = self.write(end, text.as_bytes()) {
            // Best effort: what remains is a torn record, and the next reader drops it.
            let _ = self.file.set_len(end);
            return Err(StoreError::io(&self.path, &error));
        }
        self.end = Some(end + text.len() as u64);
        self.seq = record.seq;
        self.sum = sum;
        Ok(record)
    }

    /// Reads what is there, cuts off a torn record and ends an open line. Returns where the next record goes.
    fn catch_up(&mut self, known: &mut Known) -> Result<u64, StoreError> {
        let path = self.path.clone();
        let io = |e: std::io::Error| StoreError::io(&path, &e);
        let there = known.read_from(&path, &mut self.file)?;
        let mut end = there.kept as u64;
        if there.torn {
            self.file.set_len(end).map_err(io)?;
        }
        if there.open {
            self.write(end, b"\n").map_err(io)?;
            end += 1;
        }
        self.seq = there.records.len() as u64;
        there.sum.clone_into(&mut self.sum);
        Ok(end)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

/// Waits at most a second: an append takes milliseconds, and a process that was stopped in the middle of one must not hold up a rollback.
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
