//! Groups the traits of one load balancer API.

use std::sync::Arc;

use super::{Inventory, RuleStore, TagStore, Traffic};

/// One load balancer API, as the traits that it implements.
#[derive(Clone)]
pub struct LoadBalancerApi {
    /// Reads and writes routes, and reads target health.
    pub traffic: Arc<dyn Traffic>,
    /// Lists load balancers, listeners and target groups, and names the AWS caller.
    pub inventory: Arc<dyn Inventory>,
    /// Reads and writes the tags of load balancers, listeners and rules.
    pub tags: Arc<dyn TagStore>,
    /// Makes and deletes header rules.
    pub rules: Arc<dyn RuleStore>,
}

impl LoadBalancerApi {
    /// Uses one value that implements all traits for all fields.
    pub fn new(api: impl Traffic + Inventory + TagStore + RuleStore + 'static) -> Self {
        let api = Arc::new(api);
        Self {
            traffic: Arc::clone(&api) as _,
            inventory: Arc::clone(&api) as _,
            tags: Arc::clone(&api) as _,
            rules: api,
        }
    }
}
