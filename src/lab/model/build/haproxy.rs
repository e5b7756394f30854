//! Builds the instances of HAProxy that the plan names: a process for each address, and a load balancer with one route
//! for each backend or map.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::RouteEntryGroups;
use super::settings::Settings;
use crate::base::haproxy::Backend;
use crate::lab::model::haproxy::{Frontend, Process, action};
use crate::lab::model::routing::EffectiveAction;
use crate::lab::model::{Balancer, Listener, Pairs, Route, World};
use crate::plan::model::{BalancerKind, RouteEntry, Selector};

/// The process id of the first instance.
const FIRST_PID: u32 = 4_000;

/// The number of slots of a map.
const SLOTS: usize = 100;

/// HAProxy's defaults of `inter`, `rise` and `fall` (<https://docs.haproxy.org/2.6/configuration.html#5.2>).
const CHECK: (Duration, u32, u32) = (Duration::from_secs(2), 2, 3);

impl World {
    /// Adds a backend, or a map, of an instance as a load balancer.
    pub(super) fn add_haproxy(&mut self, settings: &Settings<'_>, entry: &RouteEntry) -> usize {
        let Selector::Arn(id) = &entry.load_balancer else { return self.balancers.len() };
        let backend = Backend::parse(id).unwrap_or_else(|| Backend { address: id.clone(), name: String::new() });
        if !self.processes.iter().any(|process| process.address == backend.address) {
            let number = u32::try_from(self.processes.len()).unwrap_or(0);
            self.processes.push(Process {
                address: backend.address.clone(),
                pid: FIRST_PID + number,
                started: self.time(),
                down: false,
                slow: Duration::ZERO,
                prepared: BTreeMap::new(),
            });
        }
        let slots = if backend.map_file().is_some() { slots(settings, entry) } else { Vec::new() };
        self.balancers.push(Balancer {
            arn: id.as_str().into(),
            network: false,
            name: backend.label(),
            dns_name: backend.place().to_owned(),
            scheme: String::new(),
            vpc: String::new(),
            zones: Vec::new(),
            created: self.time(),
            attributes: Pairs::new(),
            tags: Pairs::new(),
            missing_requests: BTreeMap::new(),
            haproxy: Some(Frontend { backend, configured: slots.clone(), slots }),
        });
        self.balancers.len() - 1
    }

    /// Gives a group of servers the checks that HAProxy has by default, where the scenario sets nothing.
    pub(super) fn set_haproxy_checks(&mut self, settings: &Settings<'_>, cluster: &str, group: usize) {
        let (own, ..) = settings.group(Some(cluster), &self.groups[group].name);
        let check = &mut self.groups[group].check;
        check.interval = own.interval.map_or(CHECK.0, |interval| interval.0);
        check.healthy = own.healthy_threshold.unwrap_or(CHECK.1);
        check.unhealthy = own.unhealthy_threshold.unwrap_or(CHECK.2);
    }

    /// Adds the only route of a backend.
    pub(super) fn add_haproxy_route(&mut self, settings: &Settings<'_>, entry: &RouteEntryGroups<'_>) {
        let arn = Arc::clone(&self.balancers[entry.balancer].arn);
        let (listener, route) = (self.listeners.len(), self.routes.len());
        self.listeners.push(Listener {
            arn: Arc::clone(&arn),
            balancer: entry.balancer,
            port: 80,
            protocol: "HTTP".to_owned(),
            ssl_policy: None,
            certificates: Vec::new(),
            tags: Pairs::new(),
            default: route,
            rules: Vec::new(),
        });
        let share = |(cluster, _): &(String, Selector)| settings.starting_share(cluster);
        let groups = entry.groups.iter().map(|(group, _)| Arc::clone(&self.groups[*group].arn));
        let tuples: Vec<_> = groups.zip(entry.entry.target_groups.iter().map(share)).collect();
        self.routes.push(Route {
            rule_arn: arn.to_string(),
            arn,
            listener,
            priority: None,
            conditions: Vec::new(),
            matcher: Vec::new(),
            actions: vec![action(&tuples)],
            other_fields: Vec::new(),
            earlier_actions: Vec::new(),
            effective: EffectiveAction::default(),
            propagated_until: self.time(),
            tags: Pairs::new(),
            managed: false,
            deleted: false,
        });
    }

    /// Makes the pods of a cluster the servers of the plan's groups there.
    pub(super) fn build_servers(&mut self, settings: &Settings<'_>, cluster: usize, entries: &[RouteEntryGroups<'_>]) {
        let name = Arc::clone(&self.clusters[cluster].name);
        for entry in entries.iter().filter(|entry| entry.entry.kind == BalancerKind::Haproxy) {
            let Some(at) = entry.entry.target_groups.iter().position(|(own, _)| **own == *name) else { continue };
            let deployments = self.deployments(&name, Some(&entry.workload.name));
            let pods: Vec<_> = deployments
                .iter()
                .flat_map(|(cluster, deployment)| self.clusters[*cluster].index.pods_of(deployment).iter().copied())
                .collect();
            self.add_servers(entry.groups[at].0, &pods, u32::from(settings.starting_share(&name)));
        }
    }
}

/// Returns the slots of a map, which the clusters have by their shares at the start.
fn slots(settings: &Settings<'_>, entry: &RouteEntry) -> Vec<(String, String)> {
    let backend = |selector: &Selector| match selector {
        Selector::Arn(id) => crate::base::arn::last(id).to_owned(),
        _ => String::new(),
    };
    let of = |(cluster, selector): &(String, Selector)| {
        let share = usize::from(settings.starting_share(cluster));
        std::iter::repeat_n(backend(selector), share)
    };
    entry.target_groups.iter().flat_map(of).take(SLOTS).enumerate().map(|(n, name)| (n.to_string(), name)).collect()
}
