//! The way back: whether the groups of the start could take the traffic again. Only counts; `guard` decides.

use std::collections::BTreeMap;

use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::plan::model::ClusterName;

/// Healthy targets of a cluster now and at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The cluster.
    pub cluster: ClusterName,
    /// Healthy targets now; `None`: unreadable.
    pub healthy: Option<u32>,
    /// Healthy targets at the start.
    pub baseline: u32,
}

/// Returns the way back, for each cluster that carried traffic at the start.
pub fn way_back(state: &State, watch: &Observed) -> Vec<WayBack> {
    let mut all: BTreeMap<&str, WayBack> = BTreeMap::new();
    let mut groups: Vec<_> = state.routes.values().flat_map(|route| groups_after_rollback(state, route)).collect();
    groups.sort_unstable();
    groups.dedup();
    for arn in groups {
        let Some(start) = state.started.groups.get(arn) else { continue };
        let entry = all.entry(&start.cluster).or_insert_with(|| WayBack {
            cluster: start.cluster.clone(),
            healthy: Some(0),
            baseline: 0,
        });
        entry.baseline += start.healthy;
        entry.healthy = entry.healthy.zip(healthy(watch, arn)).map(|(a, b)| a + b);
    }
    all.into_values().collect()
}

/// Groups that carry a route's traffic after a rollback.
pub fn groups_after_rollback<'a>(state: &'a State, route: &'a Route) -> Vec<&'a str> {
    let carries = |cluster: &str, arn: &str| match &state.started.start {
        Some(shares) => shares.get(cluster).is_some_and(|s| *s > 0),
        None => route.original().carries(arn),
    };
    route.start.groups.iter().filter(|(c, arn)| carries(c, arn)).map(|(_, arn)| arn.as_str()).collect()
}

/// Whether a route is known to have no healthy target for a rollback. Unreadable health does not count as none.
pub fn has_no_target(state: &State, route: &Route, watch: &Observed) -> bool {
    let groups = groups_after_rollback(state, route);
    !groups.is_empty() && groups.iter().all(|arn| healthy(watch, arn) == Some(0))
}

/// Healthy targets now; `None` if unreadable.
fn healthy(watch: &Observed, arn: &str) -> Option<u32> {
    if watch.unreadable.contains_key(arn) { None } else { watch.healthy(arn) }
}
