//! Judges the guard of a run that has completed. Another run is in progress meanwhile: that of a later wave.

use super::context::Context;
use super::guard::{receives_rollback, verdicts};
use super::way_back;
use crate::domain::health::gate::GuardVerdict;
use crate::plan::model::OnFailure;

/// A failed guard of a run that has completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureAfterEnd {
    /// What failed, as text.
    pub message: String,
    /// Whether the run is rolled back; `false` if the plan says `onFailure: pause`, or if the old cluster has no healthy
    /// target either.
    pub rolls_back: bool,
}

/// Returns the first group of the new cluster whose guard fails; `None` if no guard fails. Trouble of the old cluster
/// never causes a rollback.
pub fn failure_after_end(c: &Context<'_>) -> Option<FailureAfterEnd> {
    let failed = verdicts(c).into_iter().find_map(|(group, _, verdict)| {
        let GuardVerdict::Failed(why) = verdict else { return None };
        let cluster = c.state.started.groups.get(group).map_or("", |g| g.cluster.as_str());
        (!receives_rollback(c.state, cluster)).then(|| format!("{} {why}", c.name(group)))
    })?;
    if way_back::refuses_rollback(c.state, c.observed) {
        let message = format!("{failed}; the old cluster has no healthy target for a rollback either");
        return Some(FailureAfterEnd { message, rolls_back: false });
    }
    Some(FailureAfterEnd { message: failed, rolls_back: c.plan.strategy.on_failure == OnFailure::Rollback })
}
