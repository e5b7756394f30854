//! Labels and names of the store's objects.

use std::collections::BTreeMap;

/// Purpose of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A Lease.
    Lock,
    /// A segment of a run's journal.
    Journal,
    /// Requests to the process that drives a run.
    Requests,
    /// Its heartbeat.
    Look,
    /// The break-glass script.
    Script,
}

/// Label: purpose of the object.
const PART: &str = "cutover.dev/part";
/// Label and annotation: the run. The label has only the last 63 characters of the id, the annotation all.
pub const RUN: &str = "cutover.dev/run";

impl Part {
    /// The name in object names and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Journal => "journal",
            Self::Requests => "requests",
            Self::Look => "look",
            Self::Script => "script",
        }
    }
}

/// Labels of every object with this purpose.
pub fn labels(part: Part) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/managed-by", "cutover"), (PART, part.word())];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Labels of an object with this purpose, with its run.
pub fn of_run(part: Part, run: &str) -> BTreeMap<String, String> {
    let mut labels = labels(part);
    labels.insert(RUN.to_owned(), short(run));
    labels
}

/// Selects every object with this purpose.
pub fn selector(part: Part) -> String {
    format!("{PART}={}", part.word())
}

/// Selects the objects with this purpose that may belong to a run.
pub fn selector_of(part: Part, run: &str) -> String {
    format!("{},{RUN}={}", selector(part), short(run))
}

/// The last 63 characters, the limit of a label. The end of a run's id is unique: the time, and random characters.
fn short(run: &str) -> String {
    run[run.len().saturating_sub(63)..].trim_start_matches('-').to_owned()
}
