//! Two runs over one load balancer never both write: raises need this run's marker, read just before; restoring writes
//! stop where the marker is another run's. Only one process of a run writes at a time.

use cutover::domain::haproxy::is_haproxy;
use cutover::plan::model::MarkerMode;
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};

/// The maximum age of the marker's reading at a write. It is read before each batch, and a batch takes at most this
/// long.
const RECENT: SignedDuration = SignedDuration::from_secs(16);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let EntryContent::Set { route, .. } = &entry.what else { return Ok(()) };
    if let Some(other) = facts.alive.iter().find(|p| **p != entry.process) {
        return Err(format!("{route} is written by process {} while process {other} is still running", entry.process));
    }
    // HAProxy has no tags.
    let has_tags = facts.started().is_none_or(|s| s.load_balancers.iter().any(|id| !is_haproxy(id)));
    if facts.plan.marker != MarkerMode::Tag || !has_tags {
        return Ok(());
    }
    let run = facts.run.as_deref().unwrap_or_default();
    let ours = |value: &Option<String>| value.as_ref().is_some_and(|v| v.split(' ').next() == Some(run));
    match (&facts.rollback, &facts.marker) {
        (None, Some((at, Ok(value)))) => {
            ensure(ours(value), || format!("{route} is written, but the marker is {value:?}"))?;
            ensure(entry.at.duration_since(*at) <= RECENT, || {
                format!("{route} is written at {}, the marker was read at {at}", entry.at)
            })
        }
        (None, _) => Err(format!("{route} is written without a reading of the marker")),
        (Some(_), Some((_, Ok(value @ Some(_))))) => {
            ensure(ours(value), || format!("{route} is restored, but the marker is {value:?}"))
        }
        (Some(_), _) => Ok(()),
    }
}
