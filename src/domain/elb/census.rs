//! Converts listeners and rules into the vendor-neutral list of routes.

use super::balancer::{Listener, LiveRoute};
use super::owners;
use crate::domain::traffic::{Census, Found};

/// Every default action and rule of a load balancer.
pub fn census(load_balancer: &str, listeners: Vec<(Listener, Vec<LiveRoute>)>) -> Census {
    let found = |route: LiveRoute| Found {
        load_balancer: load_balancer.to_owned(),
        label: route.label(),
        owners: owners(&route.tags),
        id: route.id,
        conditions: route.conditions,
        content: route.content,
    };
    let mut census = Census::default();
    for (listener, routes) in listeners {
        census.unread.extend(listener.unread);
        census.found.extend(routes.into_iter().map(found));
    }
    census
}
