//! Computes which groups have traffic now, and how much. Whether the groups are healthy enough is decided in `gates`
//! and `guard`.

use std::collections::BTreeMap;

use super::context::Context;
use super::way_back;
use crate::domain::health::gate;
use crate::domain::run::state::State;
use crate::domain::traffic::{RouteContent, shares};

/// Returns the groups that have traffic now, or may have traffic because of a write without a response. The value is
/// the largest share of the group on any route, in percent.
pub fn groups_with_traffic(state: &State) -> BTreeMap<&str, u32> {
    let mut all: BTreeMap<&str, u32> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.is_deleted()) {
        let live = route.drifted_content().and_then(RouteContent::forward_split);
        for split in live.into_iter().chain([route.split()]).chain(route.open_writes.iter().flat_map(|o| &o.splits)) {
            for (_, arn, share) in shares::managed_shares(split, &route.start.groups) {
                let share = gate::ceil(share);
                if share > 0 {
                    let entry = all.entry(arn).or_default();
                    *entry = share.max(*entry);
                }
            }
        }
    }
    all
}

/// Returns the number of healthy targets needed for 100 % of the traffic of a group's routes: the larger of the
/// baseline and the current total of the groups that had the traffic at the start. The new groups are not counted,
/// because this would require twice the capacity.
pub fn targets_for_all_traffic(c: &Context<'_>, group: &str) -> u32 {
    let mut old_groups: Vec<_> =
        c.state.routes_of_group(group).flat_map(|r| way_back::groups_after_rollback(c.state, r)).collect();
    old_groups.sort_unstable();
    old_groups.dedup();
    let baseline: u32 = old_groups.iter().filter_map(|arn| c.state.started.groups.get(*arn)).map(|g| g.healthy).sum();
    let current: u32 = old_groups.iter().filter_map(|arn| c.observed.healthy(arn)).sum();
    baseline.max(current)
}
