//! Computes which target groups have traffic, and which groups get the traffic back. Whether they are healthy enough is
//! decided in `decide`.

use std::collections::{BTreeMap, BTreeSet};

use super::group_facts::{ReturnGroups, Returns};
use super::model::{Route, State};
use crate::domain::health::gate;
use crate::domain::traffic::{RouteContent, shares};

impl State {
    /// Returns the groups that have traffic now, or may have traffic because of a write without a response. The value
    /// is the largest share of the group on any route, in percent.
    pub fn groups_with_traffic(&self) -> &BTreeMap<String, u32> {
        self.group_facts.carrying.get_or_init(|| self.compute_carrying())
    }

    /// Returns the groups that get the traffic of a group's routes back after a rollback; `None` if no route has this
    /// group.
    pub fn return_groups(&self, group: &str) -> Option<&ReturnGroups> {
        self.returns().of_group.get(group)
    }

    /// Returns the ARNs of all groups that get traffic back after a rollback.
    pub fn all_return_groups(&self) -> &BTreeSet<String> {
        &self.returns().all
    }

    /// Returns the groups that have a route's traffic after a rollback.
    pub fn groups_after_rollback<'a>(&'a self, route: &'a Route) -> Vec<&'a str> {
        let has_share = |cluster: &str, arn: &str| match &self.started.start {
            Some(shares) => shares.get(cluster).is_some_and(|s| *s > 0),
            None => route.original().carries(arn),
        };
        route.start.groups.iter().filter(|(c, arn)| has_share(c, arn)).map(|(_, arn)| arn.as_str()).collect()
    }

    fn returns(&self) -> &Returns {
        self.group_facts.returns.get_or_init(|| {
            let of_group: BTreeMap<_, _> =
                self.routes_by_group.keys().map(|group| (group.clone(), self.compute_return_groups(group))).collect();
            let all = of_group.values().flat_map(|groups| groups.arns.iter().cloned()).collect();
            Returns { of_group, all }
        })
    }

    fn compute_carrying(&self) -> BTreeMap<String, u32> {
        let mut all: BTreeMap<&str, u32> = BTreeMap::new();
        for route in self.routes.values().filter(|r| !r.is_deleted()) {
            let live = route.drifted_content().and_then(RouteContent::forward_split);
            let open_writes = route.open_writes.iter().flat_map(|open| &open.splits);
            for split in live.into_iter().chain([route.split()]).chain(open_writes) {
                for (_, arn, share) in shares::managed_shares(split, &route.start.groups) {
                    let share = gate::ceil(share);
                    if share > 0 {
                        let entry = all.entry(arn).or_default();
                        *entry = share.max(*entry);
                    }
                }
            }
        }
        all.into_iter().map(|(arn, share)| (arn.to_owned(), share)).collect()
    }

    fn compute_return_groups(&self, group: &str) -> ReturnGroups {
        let routes = self.routes_of_group(group);
        let arns: BTreeSet<String> =
            routes.flat_map(|route| self.groups_after_rollback(route)).map(str::to_owned).collect();
        let baseline = arns.iter().filter_map(|arn| self.started.groups.get(arn)).map(|g| g.healthy).sum();
        ReturnGroups { arns, baseline }
    }
}
