//! Computes the observed time of the current bake. Nothing else about steps belongs here.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Event;
use crate::domain::run::state::BakeProgress;

/// How often the progress of a bake is journalled, and thus the maximum progress that a crash loses.
const BAKE_RECORD: Duration = Duration::from_mins(1);

/// Returns the observed time of the current bake, the unobserved time since the last record, and the time of the
/// observation up to which both are counted.
pub fn bake_progress(c: &Context<'_>) -> (Duration, Duration, Timestamp) {
    let BakeProgress { observed: before, until: at } = c.state.baked;
    let until = c.observed.last_full.unwrap_or(at).max(at);
    let (observed, unseen) = c.observed.observed_time(at, until);
    (before + observed, unseen, until)
}

/// Returns the event that records the progress of the bake, if one is due: each minute, and after a gap.
pub fn bake_record(c: &Context<'_>) -> Option<Event> {
    record_if_due(c, BAKE_RECORD)
}

/// Returns the event that records the progress of the bake before a process exits. The next process continues from the
/// last observation of this process.
pub fn last_bake_record(c: &Context<'_>) -> Option<Event> {
    record_if_due(c, Duration::from_millis(1))
}

fn record_if_due(c: &Context<'_>, min_progress: Duration) -> Option<Event> {
    let (observed, unseen, until) = bake_progress(c);
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let due = observed >= c.state.baked.observed + min_progress || !unseen.is_zero();
    due.then(|| Event::Baked { step: c.state.step, millis: millis(observed), gap: millis(unseen), until })
}
