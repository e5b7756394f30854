//! Lock files, one for each load balancer. The operating system locks them, so a process that dies releases its locks.
//!
//! The content of a lock file (owner, host, since, run) is only for messages. A takeover replaces the file. The
//! previous owner then notices that its open file no longer has this name.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{create_private_folder, names, private_file};
use crate::adapter::store::lock_name;
use crate::port::store::{LockBackend, LockError, LockGuard, LockOwner, StoreError};

/// A lock file that this process has locked.
struct LockFile {
    path: PathBuf,
    file: File,
}

impl LockFile {
    /// Returns whether the file with this name is still the file that this process locked.
    fn is_ours(&self) -> bool {
        let identity = |m: fs::Metadata| (m.dev(), m.ino());
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(mine), Ok(named)) => identity(mine) == identity(named),
            _ => false,
        }
    }

    fn write_owner(&mut self, holder: &LockOwner) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&serde_json::to_vec(holder)?)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // The content is removed if possible. Closing the file releases the lock, and the content of a free lock file
        // is ignored.
        let _ = self.file.set_len(0);
    }
}

pub(super) fn acquire(
    folder: &Path,
    load_balancers: &[String],
    holder: &LockOwner,
    take_over: bool,
) -> Result<LockGuard, LockError> {
    create_private_folder(folder).map_err(LockError::Io)?;
    let mut paths: Vec<PathBuf> = load_balancers.iter().map(|arn| folder.join(lock_name(arn) + ".lock")).collect();
    // The order is always the same, so that one of two processes gets all locks.
    paths.sort();
    paths.dedup();
    let locks = paths.iter().map(|path| acquire_one(path, holder, take_over)).collect::<Result<Vec<LockFile>, _>>()?;
    Ok(LockGuard::new(LockFiles(Mutex::new(locks))))
}

/// The lock files of one acquisition.
struct LockFiles(Mutex<Vec<LockFile>>);

impl LockFiles {
    fn all(&self) -> MutexGuard<'_, Vec<LockFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockBackend for LockFiles {
    fn new_owner(&self) -> Option<LockOwner> {
        self.all().iter().find(|l| !l.is_ours()).map(|l| read_owner(&l.path).unwrap_or_else(unknown_owner))
    }

    fn expiry(&self, _: Duration) -> Option<String> {
        None
    }

    async fn confirm(&self) -> bool {
        self.new_owner().is_none()
    }

    async fn release(&self) {
        self.all().clear();
    }
}

pub(super) fn holder(folder: &Path, run: &str) -> Option<LockOwner> {
    names(folder).ok()?.iter().find_map(|name| {
        let path = folder.join(name);
        let holder = read_owner(&path).filter(|h| h.run == run)?;
        // A shared lock is used, so that one reader does not report another reader as the owner.
        let held = matches!(File::open(&path).ok()?.try_lock_shared(), Err(TryLockError::WouldBlock));
        held.then_some(holder)
    })
}

fn acquire_one(path: &Path, holder: &LockOwner, take_over: bool) -> Result<LockFile, LockError> {
    let io = |e: std::io::Error| LockError::Io(StoreError::io(path, &e));
    // A reader locks the file for a moment. The retries last long enough that a reader causes no refusal.
    for _ in 0..10 {
        let file = private_file().create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                let mut lock = LockFile { path: path.to_owned(), file };
                // Another process may have replaced the file between `open` and `try_lock`, so the loop tries again.
                if lock.is_ours() {
                    // A full disk must not prevent a rollback from locking. A lock is valid without content.
                    if let Err(error) = lock.write_owner(holder) {
                        tracing::warn!(
                            path = %path.display(),
                            %error,
                            "the owner cannot be written to the lock file; the lock is valid, but has no owner's name"
                        );
                    }
                    return Ok(lock);
                }
            }
            Err(TryLockError::WouldBlock) if take_over => remove(path).map_err(io)?,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    Err(LockError::HeldBy(Box::new(read_owner(path).unwrap_or_else(unknown_owner))))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Reads the owner from a lock file; `None` if the file has no valid content.
fn read_owner(path: &Path) -> Option<LockOwner> {
    let mut text = String::new();
    File::open(path).ok()?.take(65_536).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Returns the owner of a lock file without content.
fn unknown_owner() -> LockOwner {
    let unknown = || "unknown".to_owned();
    LockOwner { owner: unknown(), host: unknown(), pid: 0, since: Timestamp::UNIX_EPOCH, run: unknown() }
}
