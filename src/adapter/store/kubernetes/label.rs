//! How our objects are told from others', and from one another.

use std::collections::BTreeMap;

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A Lease.
    Lock,
    /// A piece of a run's journal.
    Journal,
    /// Requests to the process that runs a run.
    Requests,
    /// Its sign of life.
    Look,
    /// The break-glass script.
    Script,
}

/// The key of the label that says which part an object is.
const PART: &str = "cutover.dev/part";
/// The key of the label that says of which run it is, as far as a label has room, and of the annotation that says it in full.
pub const RUN: &str = "cutover.dev/run";

impl Part {
    /// In names and labels.
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

/// What every object of a part carries.
pub fn labels(part: Part) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/managed-by", "cutover"), (PART, part.word())];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// The same with the run that it belongs to.
pub fn of_run(part: Part, run: &str) -> BTreeMap<String, String> {
    let mut labels = labels(part);
    labels.insert(RUN.to_owned(), short(run));
    labels
}

/// Selects every object of a part.
pub fn selector(part: Part) -> String {
    format!("{PART}={}", part.word())
}

/// Selects the objects of a part that may be of a run.
pub fn selector_of(part: Part, run: &str) -> String {
    format!("{},{RUN}={}", selector(part), short(run))
}

/// A label has room for 63 characters. The end of a run's id is what tells it from others: the time, and something random.
fn short(run: &str) -> String {
    run[run.len().saturating_sub(63)..].trim_start_matches('-').to_owned()
}
