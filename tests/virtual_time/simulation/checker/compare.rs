//! Compares two contents of a route, and computes the shares of its groups.

use std::collections::BTreeSet;

use cutover::domain::run::event::RouteStart;

use crate::simulation::route_actions::RouteActions;

/// Returns the difference between two contents outside the plan's groups, if there is one.
pub fn other_difference(route: &RouteStart, before: &RouteActions, after: &RouteActions) -> Option<String> {
    if before.rest != after.rest {
        return Some(format!(
            "{}: the rest of the actions changed from {:?} to {:?}",
            route.label, before.rest, after.rest
        ));
    }
    let third = |f: &RouteActions| -> BTreeSet<String> {
        f.weights.keys().filter(|g| !route.groups.values().any(|own| own == *g)).cloned().collect()
    };
    if third(before) != third(after) {
        return Some(format!(
            "{}: third-party groups changed from {:?} to {:?}",
            route.label,
            third(before),
            third(after)
        ));
    }
    let changed = third(before).into_iter().find(|g| (before.part(g) - after.part(g)).abs() > 1e-9);
    changed.map(|g| format!("{}: the share of {g} changed from {} to {}", route.label, before.part(&g), after.part(&g)))
}

/// Returns the share of a cluster on a route, in percent of the managed part.
pub fn share_of(route: &RouteStart, cluster: &str, actions: &RouteActions) -> f64 {
    let managed: Vec<_> = route.groups.values().map(String::as_str).collect();
    route.groups.get(cluster).map_or(0.0, |group| actions.share(group, &managed))
}
