//! How long the current pause has baked, in observed time. Nothing else about steps belongs here.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Event;
use crate::domain::run::state::BakeProgress;

/// A bake is journaled this often; a crash loses at most this much.
const BAKE_RECORD: Duration = Duration::from_mins(1);

/// Observed time of the current bake, unobserved time since the last record, and the time of the observation up to
/// which both are counted.
pub fn bake_progress(c: &Context<'_>) -> (Duration, Duration, Timestamp) {
    let BakeProgress { observed: before, until: at } = c.state.baked;
    let until = c.observed.last_full.unwrap_or(at).max(at);
    let (observed, unseen) = c.observed.observed_time(at, until);
    (before + observed, unseen, until)
}

/// Returns the record of the bake, if one is due: each minute, and after a gap.
pub fn bake_record(c: &Context<'_>) -> Option<Event> {
    record_if_due(c, BAKE_RECORD)
}

/// Returns the record of the bake for a process that exits; the next process continues from its last observation.
pub fn last_bake_record(c: &Context<'_>) -> Option<Event> {
    record_if_due(c, Duration::from_millis(1))
}

fn record_if_due(c: &Context<'_>, least: Duration) -> Option<Event> {
    let (observed, unseen, until) = bake_progress(c);
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let due = observed >= c.state.baked.observed + least || !unseen.is_zero();
    due.then(|| Event::Baked { step: c.state.step, millis: millis(observed), gap: millis(unseen), until })
}
