//! Marks the routes that the plan manages, because a rehearsal measures the shares of these routes.

use super::RouteEntryGroups;
use crate::lab::model::{Route, World, weights};
use crate::plan::model::{ListenerRef, RouteEntry, RuleRef};

impl World {
    pub(super) fn mark_managed(&mut self, entries: &[RouteEntryGroups<'_>]) {
        let from = self.plan.strategy.from.clone();
        for route in 0..self.routes.len() {
            self.routes[route].managed = entries.iter().any(|e| self.is_managed(e, &from, &self.routes[route]));
        }
    }

    fn is_managed(&self, entry: &RouteEntryGroups<'_>, from: &str, route: &Route) -> bool {
        let listener = &self.listeners[route.listener];
        if listener.balancer != entry.balancer || !listens(entry.entry, &listener.arn, listener.port) {
            return false;
        }
        let weights = weights(&route.actions);
        let any_start = self.plan.strategy.start.is_none();
        let mut own = entry
            .entry
            .target_groups
            .iter()
            .zip(&entry.groups)
            .filter(|((cluster, _), _)| any_start || cluster == from);
        let carries = own.any(|(_, (group, _))| {
            weights.iter().any(|(arn, weight)| **arn == *self.groups[*group].arn && *weight > 0)
        });
        carries && entry.entry.rules.as_ref().is_none_or(|rules| rules.iter().any(|r| selects_route(r, route)))
    }
}

fn listens(entry: &RouteEntry, arn: &str, port: u16) -> bool {
    let same = |l: &ListenerRef| match l {
        ListenerRef::Port(wanted) => *wanted == port,
        ListenerRef::Arn(wanted) => wanted == arn,
    };
    entry.listeners.is_empty() || entry.listeners.iter().any(same)
}

fn selects_route(rule: &RuleRef, route: &Route) -> bool {
    match rule {
        RuleRef::Default => route.priority.is_none(),
        RuleRef::Priority(priority) => route.priority == Some(*priority),
        RuleRef::Arn(arn) => route.rule_arn == *arn,
    }
}
