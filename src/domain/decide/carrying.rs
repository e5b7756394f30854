//! Which groups carry traffic now, and how much. Whether they are healthy enough is decided in `gates` and `guard`.

use std::collections::BTreeMap;

use super::context::Context;
use super::{goal, way_back};
use crate::domain::health::gate;
use crate::domain::run::state::State;
use crate::domain::traffic::Content;

/// The groups that carry traffic now, or may because of a write without an answer, with the largest share in percent
/// that each has on any route.
pub fn carrying(state: &State) -> BTreeMap<&str, u32> {
    let mut all: BTreeMap<&str, u32> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.gone()) {
        let live = route.changed().and_then(Content::forwards);
        for split in live.into_iter().chain([route.split()]).chain(route.open.iter().flat_map(|o| &o.sets)) {
            let shares = goal::shares_of(route, split);
            for (cluster, arn) in &route.start.groups {
                let share = gate::ceil(shares.get(cluster).copied().unwrap_or(0.0));
                if share > 0 {
                    let entry = all.entry(arn).or_default();
                    *entry = share.max(*entry);
                }
            }
        }
    }
    all
}

/// Healthy targets that the whole traffic of a group's routes needs: the baseline or today's total, whichever is
/// larger, of the groups that carried the traffic at the start. (Counting the new groups too would require twice the
/// capacity.)
pub fn family_total(c: &Context<'_>, group: &str) -> u32 {
    let routes = c.state.routes.values().filter(|r| r.start.groups.values().any(|arn| arn == group));
    let mut carriers: Vec<_> = routes.flat_map(|r| way_back::carriers(c.state, r)).collect();
    carriers.sort_unstable();
    carriers.dedup();
    let baseline: u32 = carriers.iter().filter_map(|arn| c.state.started.groups.get(*arn)).map(|g| g.healthy).sum();
    let today: u32 = carriers.iter().filter_map(|arn| c.watch.healthy(arn)).sum();
    baseline.max(today)
}
