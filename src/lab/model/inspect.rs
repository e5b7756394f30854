//! Reads the state of the model directly, without an API call and therefore without delays and faults.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;
use super::group::LabTargetState;

/// The state of the model at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Actions of every existing route, by the ARN of the listener or rule, with the field names of the API.
    pub routes: BTreeMap<String, Vec<Value>>,
    /// The number of healthy targets, by target group ARN.
    pub healthy: BTreeMap<String, u32>,
    /// Tags of the load balancers, by ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl World {
    /// Returns the state after the last call.
    pub fn snapshot(&self) -> Snapshot {
        let routes = self.routes.iter().filter(|r| !r.deleted).map(|r| (r.arn.to_string(), r.actions.clone()));
        let healthy = self.groups.iter().map(|g| {
            let count = g.targets.values().filter(|t| t.state == LabTargetState::Healthy).count();
            (g.arn.to_string(), u32::try_from(count).unwrap_or(u32::MAX))
        });
        let tags = self.balancers.iter().map(|b| (b.arn.to_string(), b.tags.clone()));
        Snapshot { routes: routes.collect(), healthy: healthy.collect(), tags: tags.collect() }
    }
}
