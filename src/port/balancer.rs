//! The three traits of one load balancer API, kept together.

use std::sync::Arc;

use super::{Inventory, TagStore, Traffic};

/// A load balancer API.
#[derive(Clone)]
pub struct LoadBalancerApi {
    /// Routes and target health.
    pub traffic: Arc<dyn Traffic>,
    /// Load balancers, listeners, target groups and the caller.
    pub inventory: Arc<dyn Inventory>,
    /// Tags.
    pub tags: Arc<dyn TagStore>,
}

impl LoadBalancerApi {
    /// Uses one API for all three traits.
    pub fn new(api: impl Traffic + Inventory + TagStore + 'static) -> Self {
        let api = Arc::new(api);
        Self { traffic: Arc::clone(&api) as _, inventory: Arc::clone(&api) as _, tags: api }
    }
}
