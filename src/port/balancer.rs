//! Groups the three traits of one load balancer API.

use std::sync::Arc;

use super::{Inventory, TagStore, Traffic};

/// One load balancer API, as the three traits that it implements.
#[derive(Clone)]
pub struct LoadBalancerApi {
    /// Reads and writes routes, and reads target health.
    pub traffic: Arc<dyn Traffic>,
    /// Lists load balancers, listeners and target groups, and names the AWS caller.
    pub inventory: Arc<dyn Inventory>,
    /// Reads and writes the tags of load balancers, listeners and rules.
    pub tags: Arc<dyn TagStore>,
}

impl LoadBalancerApi {
    /// Uses one value that implements all three traits for all three fields.
    pub fn new(api: impl Traffic + Inventory + TagStore + 'static) -> Self {
        let api = Arc::new(api);
        Self { traffic: Arc::clone(&api) as _, inventory: Arc::clone(&api) as _, tags: api }
    }
}
