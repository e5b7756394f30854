//! Converts listeners and rules to the vendor-neutral list of routes.

use super::balancer::{Listener, LiveRoute};
use super::owners;
use crate::domain::traffic::{FoundRoute, RouteCensus};

/// Returns every default action and rule of a load balancer.
pub fn route_census(load_balancer: &str, listeners: Vec<(Listener, Vec<LiveRoute>)>) -> RouteCensus {
    let found = |route: LiveRoute| FoundRoute {
        load_balancer: load_balancer.to_owned(),
        label: route.label(),
        listener: route.listener,
        owners: owners::owners_from_tags(&route.tags),
        id: route.id,
        conditions: route.conditions,
        content: route.content,
    };
    let mut census = RouteCensus::default();
    for (listener, routes) in listeners {
        census.unread.extend(listener.unread);
        census.routes.extend(routes.into_iter().map(found));
    }
    census
}
