//! Counts the healthy targets of the old cluster, to which a rollback returns the traffic (the way back). Decisions
//! belong in `guard`.

use std::collections::BTreeMap;

use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::plan::model::ClusterName;

/// Why a rollback restores nothing.
pub const NO_WAY_BACK: &str = "the old cluster has no healthy target";

/// The healthy targets of a cluster now and at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The name of the cluster.
    pub cluster: ClusterName,
    /// The number of healthy targets now; `None` if it could not be read.
    pub healthy: Option<u32>,
    /// The number of healthy targets at the start.
    pub baseline: u32,
}

/// Returns the healthy targets of each cluster that had traffic at the start.
pub fn way_back(state: &State, observed: &Observed) -> Vec<WayBack> {
    way_back_by(state, |arn| healthy(observed, arn))
}

/// Returns the way back with the healthy targets of each group from `healthy`.
pub fn way_back_by(state: &State, healthy: impl Fn(&str) -> Option<u32>) -> Vec<WayBack> {
    let mut all: BTreeMap<&str, WayBack> = BTreeMap::new();
    for arn in state.all_return_groups() {
        let Some(start) = state.started.groups.get(arn) else { continue };
        let entry = all.entry(&start.cluster).or_insert_with(|| WayBack {
            cluster: start.cluster.clone(),
            healthy: Some(0),
            baseline: 0,
        });
        entry.baseline += start.healthy;
        entry.healthy = entry.healthy.zip(healthy(arn)).map(|(a, b)| a + b);
    }
    all.into_values().collect()
}

/// Whether a route is known to have no healthy target for a rollback; `false` if the health could not be read.
pub fn has_no_target(state: &State, route: &Route, observed: &Observed) -> bool {
    let groups = state.groups_after_rollback(route);
    !groups.is_empty() && groups.iter().all(|arn| healthy(observed, arn) == Some(0))
}

/// Whether a rollback would restore no route, because every route is known to have no healthy target.
pub fn refuses_rollback(state: &State, observed: &Observed) -> bool {
    state.routes.values().filter(|route| !route.is_deleted()).all(|route| has_no_target(state, route, observed))
}

/// Returns why a route without a healthy target is not restored, and the command that restores it.
pub fn no_target_text(state: &State) -> String {
    if state.started.is_evacuation() {
        let why = "no target group that would take the traffic has a healthy target";
        return format!("{why}; to move it anyway: cutover rollback {} --force", state.run);
    }
    format!("{NO_WAY_BACK}; to restore anyway: cutover rollback {} --force", state.run)
}

/// Returns the number of healthy targets of a group now; `None` if it could not be read.
fn healthy(observed: &Observed, arn: &str) -> Option<u32> {
    if observed.unreadable.contains_key(arn) { None } else { observed.healthy(arn) }
}
