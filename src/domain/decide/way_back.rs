//! Counts the healthy targets of the old cluster, to which a rollback returns the traffic (the way back). Decisions
//! belong in `guard`.

use std::collections::BTreeMap;

use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::plan::model::ClusterName;

/// The healthy targets of a cluster now and at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The name of the cluster.
    pub cluster: ClusterName,
    /// The number of healthy targets now; `None`: could not be read.
    pub healthy: Option<u32>,
    /// The number of healthy targets at the start.
    pub baseline: u32,
}

/// Returns the healthy targets of each cluster that had traffic at the start.
pub fn way_back(state: &State, observed: &Observed) -> Vec<WayBack> {
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
        entry.healthy = entry.healthy.zip(healthy(observed, arn)).map(|(a, b)| a + b);
    }
    all.into_values().collect()
}

/// Returns the groups that have a route's traffic after a rollback.
pub fn groups_after_rollback<'a>(state: &'a State, route: &'a Route) -> Vec<&'a str> {
    let has_share = |cluster: &str, arn: &str| match &state.started.start {
        Some(shares) => shares.get(cluster).is_some_and(|s| *s > 0),
        None => route.original().carries(arn),
    };
    route.start.groups.iter().filter(|(c, arn)| has_share(c, arn)).map(|(_, arn)| arn.as_str()).collect()
}

/// Whether a route is known to have no healthy target for a rollback; `false` if the health could not be read.
pub fn has_no_target(state: &State, route: &Route, observed: &Observed) -> bool {
    let groups = groups_after_rollback(state, route);
    !groups.is_empty() && groups.iter().all(|arn| healthy(observed, arn) == Some(0))
}

/// Returns the number of healthy targets of a group now; `None` if it could not be read.
fn healthy(observed: &Observed, arn: &str) -> Option<u32> {
    if observed.unreadable.contains_key(arn) { None } else { observed.healthy(arn) }
}
