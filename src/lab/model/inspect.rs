//! A look at the world from outside: what is so, without a call of any API, and without its delays and faults.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;
use super::group::State;

/// The world at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Actions of every route that is not deleted, by the ARN under which it is written, in the API's own field names.
    pub routes: BTreeMap<String, Vec<Value>>,
    /// The number of healthy targets, by target group ARN.
    pub healthy: BTreeMap<String, u32>,
    /// Tags, by load balancer ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl World {
    /// What is so as of the last call.
    pub fn snapshot(&self) -> Snapshot {
        let routes = self.routes.iter().filter(|r| !r.deleted).map(|r| (r.arn.to_string(), r.actions.clone()));
        let healthy = self.groups.iter().map(|g| {
            let count = g.targets.values().filter(|t| t.state == State::Healthy).count();
            (g.arn.to_string(), u32::try_from(count).unwrap_or(u32::MAX))
        });
        let tags = self.balancers.iter().map(|b| (b.arn.to_string(), b.tags.clone()));
        Snapshot { routes: routes.collect(), healthy: healthy.collect(), tags: tags.collect() }
    }
}
