//! Lock files, one for each load balancer, locked by the operating system, so that a process that dies releases its
//! locks.
//!
//! The content of a lock file (owner, host, since, run) is for messages only. A take-over replaces the file; its former
//! owner
//! notices that its file no longer has the name.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{make_folder, names, private};
use crate::adapter::store::lock_name;
use crate::port::store::{Held, Holder, Lock, LockError, StoreError};

/// A lock that this process owns.
struct Locked {
    path: PathBuf,
    file: File,
}

impl Locked {
    /// Whether the file with this name is still the one that this process locked.
    fn ours(&self) -> bool {
        let identity = |m: fs::Metadata| (m.dev(), m.ino());
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(mine), Ok(named)) => identity(mine) == identity(named),
            _ => false,
        }
    }

    fn say(&mut self, holder: &Holder) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&serde_json::to_vec(holder)?)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Best effort: closing the file releases the lock, and the content of a free lock file is ignored.
        let _ = self.file.set_len(0);
    }
}

pub(super) fn take(folder: &Path, load_balancers: &[String], holder: &Holder, over: bool) -> Result<Held, LockError> {
    make_folder(folder).map_err(LockError::Io)?;
    let mut paths: Vec<PathBuf> = load_balancers.iter().map(|arn| folder.join(lock_name(arn) + ".lock")).collect();
    // Always in the same order, so that one of two processes gets all locks.
    paths.sort();
    paths.dedup();
    let locks = paths.iter().map(|path| one(path, holder, over)).collect::<Result<Vec<Locked>, _>>()?;
    Ok(Held::new(Files(Mutex::new(locks))))
}

/// The lock files of one acquisition.
struct Files(Mutex<Vec<Locked>>);

impl Files {
    fn all(&self) -> MutexGuard<'_, Vec<Locked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lock for Files {
    fn usurper(&self) -> Option<Holder> {
        self.all().iter().find(|l| !l.ours()).map(|l| said(&l.path).unwrap_or_else(unknown))
    }

    fn lapsed(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        self.usurper().is_none()
    }

    async fn release(&self) {
        self.all().clear();
    }
}

pub(super) fn holder(folder: &Path, run: &str) -> Option<Holder> {
    names(folder).ok()?.iter().find_map(|name| {
        let path = folder.join(name);
        let holder = said(&path).filter(|h| h.run == run)?;
        // A shared lock, so that two readers do not take each other for the owner.
        let held = matches!(File::open(&path).ok()?.try_lock_shared(), Err(TryLockError::WouldBlock));
        held.then_some(holder)
    })
}

fn one(path: &Path, holder: &Holder, over: bool) -> Result<Locked, LockError> {
    let io = |e: std::io::Error| LockError::Io(StoreError::io(path, &e));
    // A reader locks the file for an instant: retry long enough that it causes no refusal.
    for _ in 0..10 {
        let file = private().create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                let mut lock = Locked { path: path.to_owned(), file };
                // Another process may have replaced the file between `open` and `try_lock`: try again.
                if lock.ours() {
                    // A full disk must not prevent a rollback from locking: the lock is valid without content.
                    if let Err(error) = lock.say(holder) {
                        tracing::warn!(path = %path.display(), %error, "the lock file does not name its owner");
                    }
                    return Ok(lock);
                }
            }
            Err(TryLockError::WouldBlock) if over => remove(path).map_err(io)?,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    Err(LockError::HeldBy(Box::new(said(path).unwrap_or_else(unknown))))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Reads the owner from a lock file; `None`: the file does not name one.
fn said(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(65_536).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The owner of a lock file without content.
fn unknown() -> Holder {
    let unknown = || "unknown".to_owned();
    Holder { owner: unknown(), host: unknown(), pid: 0, since: Timestamp::UNIX_EPOCH, run: unknown() }
}
