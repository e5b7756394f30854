//! Checks the keys of `weights` in a scenario: clusters of the plan, or target groups of the lab. A key that matches
//! nothing would leave a weight as it is.

use std::collections::BTreeMap;

use super::settings::Settings;
use crate::lab::model::World;
use crate::lab::scenario::ScenarioError;

impl World {
    /// Checks the weights of rules and of foreign writes. Must be called after the target groups are built. Returns all
    /// errors.
    pub(super) fn check_weights(&self, settings: &Settings<'_>) -> Vec<ScenarioError> {
        let spec = &settings.scenario.spec;
        let writes = spec.faults.iter().enumerate().filter_map(|(index, fault)| {
            Some((format!("spec.faults[{index}].foreign-write.weights"), &fault.foreign_write.as_ref()?.weights))
        });
        let rules = spec.load_balancers.iter().enumerate().flat_map(|(balancer, entry)| {
            let listeners = entry.listeners.iter().enumerate();
            listeners.flat_map(move |(listener, entry)| {
                let path = format!("spec.loadBalancers[{balancer}].listeners[{listener}]");
                let rules = entry.rules.iter().enumerate();
                rules.filter_map(move |(rule, entry)| {
                    Some((format!("{path}.rules[{rule}].weights"), entry.weights.as_ref()?))
                })
            })
        });
        writes.chain(rules).flat_map(|(path, weights)| self.unknown_weights(settings, &path, weights)).collect()
    }

    fn unknown_weights(
        &self,
        settings: &Settings<'_>,
        path: &str,
        weights: &BTreeMap<String, u16>,
    ) -> Vec<ScenarioError> {
        let clusters = settings.plan.clusters.iter().map(|cluster| cluster.name.as_str());
        let clusters: Vec<_> = clusters.chain(["from", "to"]).collect();
        let is_group = |name: &str| self.groups.iter().any(|group| group.name == name);
        let unknown = weights.keys().filter(|name| !clusters.contains(&name.as_str()) && !is_group(name));
        let valid = format!("{} and names of target groups", clusters.join(", "));
        let kind = "cluster or target group";
        unknown.map(|name| settings.unknown(path, kind, name, clusters.clone(), &valid)).collect()
    }
}
