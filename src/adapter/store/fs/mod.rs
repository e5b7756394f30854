//! A store in a local folder: `runs/ID/journal.jsonl`, `runs/ID/requests/`, `runs/ID/look.json`,
//! `runs/ID/break-glass.sh` and `locks/`.
//!
//! Folders have mode 0700 and files 0600, because a journal names load balancers and people. Nothing is created before
//! the first write, so that commands that only read leave no files.

mod journal;
mod lock;
mod request;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use self::journal::{CachedJournal, Writer};
use crate::adapter::store::{is_run_id, request_without_credentials, without_credentials};
use crate::domain::emergency::script::NAME as SCRIPT;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::DamagedJournal;
use crate::port::store::{Heartbeat, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError};

/// A store in a folder of this machine.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    writers: Mutex<HashMap<String, Writer>>,
    cached: Mutex<CachedJournal>,
}

impl LocalStore {
    /// Opens the store in `dir`, else in `$XDG_STATE_HOME/cutover`, else in `~/.local/state/cutover`. Creates nothing.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, StoreError> {
        let xdg = || std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || std::env::home_dir().filter(|p| p.is_absolute()).map(|p| p.join(".local/state"));
        let root = dir.or_else(|| xdg().or_else(home).map(|p| p.join("cutover"))).ok_or(StoreError::NoLocation)?;
        Ok(Self { root, writers: Mutex::default(), cached: Mutex::default() })
    }

    #[cfg(test)]
    pub(super) fn root_for_tests(&self) -> PathBuf {
        self.root.clone()
    }

    fn folder(&self, run: &str) -> Result<PathBuf, StoreError> {
        let folder = self.root.join("runs").join(run);
        let missing = || StoreError::NoSuchRun { run: run.to_owned(), place: self.location() };
        if is_run_id(run) && folder.is_dir() { Ok(folder) } else { Err(missing()) }
    }

    fn cached(&self) -> MutexGuard<'_, CachedJournal> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summary(&self, id: &str) -> Result<RunSummary, StoreError> {
        let path = self.folder(id)?.join(journal::JOURNAL_FILE);
        let bytes = match fs::read(&path) {
            // The process died after it created the folder and before it created the journal.
            Err(e) if e.kind() == ErrorKind::NotFound => vec![],
            read => read.map_err(|e| StoreError::io(&path, &e))?,
        };
        Ok(match self.cached().parse(&path, bytes) {
            Ok(known) => RunSummary::of(id, &known.records),
            Err(DamagedJournal { line, why, prefix }) => {
                RunSummary { damaged: Some(format!("line {line}: {why}")), ..RunSummary::of(id, &prefix) }
            }
        })
    }

    /// Returns the runs whose ids match, newest first.
    fn list(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<RunSummary>, StoreError> {
        let mut runs = vec![];
        for id in names(&self.root.join("runs"))?.into_iter().filter(|n| is_run_id(n) && wanted(n)) {
            match self.summary(&id) {
                // A run without a record has changed nothing.
                Ok(run) if run.started.is_none() && run.damaged.is_none() => {}
                Ok(run) => runs.push(run),
                Err(error) => runs.push(RunSummary { damaged: Some(error.to_string()), ..RunSummary::of(&id, &[]) }),
            }
        }
        runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.id.cmp(&a.id)));
        Ok(runs)
    }
}

#[async_trait]
impl Store for LocalStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn is_durable(&self) -> bool {
        true
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        if !is_run_id(run) {
            return Err(StoreError::Io { path: self.location(), message: format!("`{run}` is not a valid run id") });
        }
        let runs = self.root.join("runs");
        create_private_folder(&runs)?;
        let folder = runs.join(run);
        DirBuilder::new().mode(0o700).create(&folder).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => StoreError::Exists(run.to_owned()),
            _ => StoreError::io(&folder, &e),
        })?;
        let path = folder.join(journal::JOURNAL_FILE);
        private_file()
            .create_new(true)
            .open(&path)
            .and_then(|f| f.sync_all())
            .map_err(|e| StoreError::io(&path, &e))?;
        sync_folder(&folder)?;
        sync_folder(&runs)
    }

    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        let path = self.folder(run)?.join(journal::JOURNAL_FILE);
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match writers.remove(run) {
            Some(writer) => writer,
            None => Writer::open(path, run)?,
        };
        // A writer that failed is dropped, so that the next append reads the file again.
        let record = writer.append(&mut self.cached(), time, &without_credentials(event))?;
        writers.insert(run.to_owned(), writer);
        Ok(record)
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        let path = self.folder(run)?.join(journal::JOURNAL_FILE);
        self.cached().read(&path).map(|known| Arc::clone(&known.records))
    }

    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.list(|_| true)
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        // A search by id must be fast, however many other runs there are. So the other runs are listed only if no id
        // matches.
        let by_id = self.list(|id| id == reference)?;
        Ok(if by_id.is_empty() {
            self.list(|_| true)?.into_iter().filter(|run| run.plan == reference).collect()
        } else {
            by_id
        })
    }

    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        request::put(&self.folder(run)?, &request_without_credentials(request))
    }

    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        request::read_pending(&self.folder(run)?)
    }

    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        request::remove(&self.folder(run)?, name)
    }

    async fn put_heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<(), StoreError> {
        request::put_heartbeat(&self.folder(run)?, heartbeat)
    }

    async fn heartbeat(&self, run: &str) -> Option<Heartbeat> {
        request::read_heartbeat(&self.folder(run).ok()?)
    }

    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError> {
        let path = self.folder(run)?.join(SCRIPT);
        replace_file(&path, text.as_bytes(), true)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(|e| StoreError::io(&path, &e))?;
        Ok(Some(format!("sh {}", path.display())))
    }

    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        lock::acquire(&self.root.join("locks"), load_balancers, holder, false)
    }

    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        lock::acquire(&self.root.join("locks"), load_balancers, holder, true)
    }

    async fn lock_owner(&self, run: &str) -> Option<LockOwner> {
        lock::holder(&self.root.join("locks"), run)
    }
}

/// Returns options to open a file for reading and writing. Only the owner can access a created file.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn create_private_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| StoreError::io(path, &e))
}

/// Syncs a folder. A new or renamed file is durable only after that.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| StoreError::io(path, &e))
}

/// Creates or replaces a file atomically. A reader finds either the old or the new content.
fn replace_file(path: &Path, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = private_file().create(true).truncate(true).open(&draft)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&draft, path)
    };
    write().map_err(|e| {
        // The temporary file is removed if possible. No reader uses its name.
        let _ = fs::remove_file(&draft);
        StoreError::io(path, &e)
    })?;
    if durable { sync_folder(folder) } else { Ok(()) }
}

/// Returns the names in a folder, sorted, without dotfiles; empty if the folder does not exist.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(|e| StoreError::io(folder, &e))?,
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with('.')).collect();
    names.sort();
    Ok(names)
}
