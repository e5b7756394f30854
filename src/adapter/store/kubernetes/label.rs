//! Labels and names of the store's objects.

use std::collections::BTreeMap;

/// Purpose of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A Lease.
    Lock,
    /// A segment of a run's journal.
    Journal,
    /// Requests to the process that drives a run.
    Requests,
    /// Its heartbeat.
    Heartbeat,
    /// The break-glass script.
    Script,
}

/// Label: purpose of the object.
const PURPOSE: &str = "cutover.dev/part";
/// Label and annotation: the run. The label has only the last 63 characters of the id, the annotation all.
pub const RUN: &str = "cutover.dev/run";

impl Purpose {
    /// The name in object names and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Journal => "journal",
            Self::Requests => "requests",
            Self::Heartbeat => "look",
            Self::Script => "script",
        }
    }
}

/// Labels of every object with this purpose.
pub fn labels(part: Purpose) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/managed-by", "cutover"), (PURPOSE, part.name())];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Labels of an object with this purpose, with its run.
pub fn of_run(part: Purpose, run: &str) -> BTreeMap<String, String> {
    let mut labels = labels(part);
    labels.insert(RUN.to_owned(), short(run));
    labels
}

/// Selects every object with this purpose.
pub fn selector(part: Purpose) -> String {
    format!("{PURPOSE}={}", part.name())
}

/// Selects the objects with this purpose that may belong to a run.
pub fn selector_of(part: Purpose, run: &str) -> String {
    format!("{},{RUN}={}", selector(part), short(run))
}

/// The last 63 characters, the limit of a label. The end of a run's id is unique: the time, and random characters.
fn short(run: &str) -> String {
    run[run.len().saturating_sub(63)..].trim_start_matches('-').to_owned()
}
