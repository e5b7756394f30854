//! The labels and the names of the store's objects.

use std::collections::BTreeMap;

/// The purpose of an object in the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A Lease that locks a load balancer.
    Lock,
    /// A segment of a run's journal.
    Journal,
    /// Requests to the process that drives a run.
    Requests,
    /// The heartbeat of the process that drives a run.
    Heartbeat,
    /// The break-glass script of a run.
    Script,
}

/// The label that contains the purpose of the object.
const PURPOSE_LABEL: &str = "cutover.dev/part";
/// The label and annotation that contain the run. The label has only the last 63 characters of the id; the annotation
/// has all characters.
pub const RUN: &str = "cutover.dev/run";

impl Purpose {
    /// Returns the purpose as used in object names and labels.
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

/// Returns the labels of every object with this purpose.
pub fn labels(purpose: Purpose) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/managed-by", "cutover"), (PURPOSE_LABEL, purpose.name())];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Returns the labels of an object with this purpose and run.
pub fn of_run(purpose: Purpose, run: &str) -> BTreeMap<String, String> {
    let mut labels = labels(purpose);
    labels.insert(RUN.to_owned(), label_value(run));
    labels
}

/// Returns the selector for all objects with this purpose.
pub fn selector(purpose: Purpose) -> String {
    format!("{PURPOSE_LABEL}={}", purpose.name())
}

/// Returns the selector for objects with this purpose that may belong to this run.
pub fn selector_of(purpose: Purpose, run: &str) -> String {
    format!("{},{RUN}={}", selector(purpose), label_value(run))
}

/// Returns the last 63 characters, the limit of a label. The end of a run's id is unique: the time and random
/// characters.
fn label_value(run: &str) -> String {
    run[run.len().saturating_sub(63)..].trim_start_matches('-').to_owned()
}
