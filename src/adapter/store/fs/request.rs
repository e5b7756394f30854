//! Small files in a run's folder through which processes communicate: operator requests and the heartbeat.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde::Serialize;

use super::{create_private_folder, names, replace_file};
use crate::port::store::{Heartbeat, Request, StoreError};

const HEARTBEAT_FILE: &str = "look.json";
const REQUESTS_FOLDER: &str = "requests";
/// The suffix of the name of a pending request.
const PENDING_SUFFIX: &str = ".json";
/// The suffix of the name of an unreadable request.
const UNREADABLE_SUFFIX: &str = ".unreadable";

/// A counter that makes names unique if one process creates several within one tick of the clock.
static FILE_NUMBER: AtomicU32 = AtomicU32::new(0);

pub(super) fn put(folder: &Path, request: &Request) -> Result<(), StoreError> {
    let requests = folder.join(REQUESTS_FOLDER);
    create_private_folder(&requests)?;
    let count = FILE_NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{:020}-{count:010}-{}{PENDING_SUFFIX}", Timestamp::now().as_nanosecond(), std::process::id());
    let path = requests.join(name);
    replace_file(&path, &json(&path, request)?, true)
}

pub(super) fn read_pending(folder: &Path) -> Result<Vec<(String, Request)>, StoreError> {
    let requests = folder.join(REQUESTS_FOLDER);
    let mut found = vec![];
    for name in names(&requests)?.into_iter().filter(|n| n.ends_with(PENDING_SUFFIX)) {
        let path = requests.join(&name);
        match fs::read(&path) {
            // Another process has handled the request meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            read => match read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                Some(request) => found.push((name, request)),
                None => set_aside(&path),
            },
        }
    }
    Ok(found)
}

pub(super) fn remove(folder: &Path, name: &str) -> Result<(), StoreError> {
    let path = folder.join(REQUESTS_FOLDER).join(name);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io(&path, &e)),
        _ => Ok(()),
    }
}

pub(super) fn put_heartbeat(folder: &Path, heartbeat: &Heartbeat) -> Result<(), StoreError> {
    let path = folder.join(HEARTBEAT_FILE);
    replace_file(&path, &json(&path, heartbeat)?, false)
}

pub(super) fn read_heartbeat(folder: &Path) -> Option<Heartbeat> {
    serde_json::from_slice(&fs::read(folder.join(HEARTBEAT_FILE)).ok()?).ok()
}

/// Renames an unreadable request and keeps it for inspection. If that fails, the next read tries again.
fn set_aside(path: &Path) {
    tracing::warn!(path = %path.display(), "an operator request cannot be read; repeat the command that sent it");
    let _ = fs::rename(path, path.with_extension(format!("json{UNREADABLE_SUFFIX}")));
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|e| StoreError::Io { path: path.display().to_string(), message: e.to_string() })
}
