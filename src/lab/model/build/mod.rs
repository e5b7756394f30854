//! Builds the initial state of the lab from the plan and the scenario's settings.

mod fault_names;
mod groups;
mod haproxy;
mod items;
mod kubernetes;
mod listeners;
mod managed;
pub(super) mod platform;
mod settings;
mod weights;

pub(super) use settings::cluster_name;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::faults::Faults;
use super::queue::{LabEvent, Queue};
use super::routing::EffectiveAction;
use super::{Bucket, Buckets, World};
use crate::lab::scenario::{Scenario, ScenarioError};
use crate::plan::model::{Plan, RouteEntry, Workload};
use settings::Settings;

/// One route entry of the plan, with the indices of its load balancer and target groups.
struct RouteEntryGroups<'a> {
    workload: &'a Workload,
    entry: &'a RouteEntry,
    balancer: usize,
    /// For each cluster, in the plan's order: the index of the group, and whether it is attached at the start.
    groups: Vec<(usize, bool)>,
}

impl World {
    /// Builds a lab for the plan, with the settings and faults of the scenario. The same seed and start time give the
    /// same state.
    ///
    /// # Errors
    /// Returns all entries of the scenario that do not fit the plan.
    pub fn new(plan: &Plan, scenario: &Scenario, seed: u64, start: Timestamp) -> Result<Self, ScenarioError> {
        let settings = Settings { plan, scenario };
        ScenarioError::all(settings.check())?;
        let mut world = Self::empty(plan, scenario, seed, start);
        let entries = world.build_balancers_and_groups(&settings);
        ScenarioError::all(world.check_weights(&settings))?;
        world.build_listeners(&settings, &entries)?;
        world.rule_index =
            world.routes.iter().enumerate().rev().map(|(index, r)| (r.rule_arn.clone(), index)).collect();
        world.mark_managed(&entries);
        world.update_attachments();
        world.build_clusters(&settings, seed);
        world.build_workloads(&settings, &entries)?;
        for route in 0..world.routes.len() {
            let phase = world.random.f64();
            world.routes[route].effective =
                EffectiveAction::read(&world.routes[route].actions, &world.group_index, phase);
        }
        world.plan_faults();
        Ok(world)
    }

    /// Checks that the plan has everything that a scenario names, also the steps. A lab whose steps are reported under
    /// other names needs only the check of [`World::new`].
    ///
    /// # Errors
    /// Returns all entries that do not fit the plan.
    pub fn check_names(plan: &Plan, scenario: &Scenario) -> Result<(), ScenarioError> {
        let settings = Settings { plan, scenario };
        let mut errors = settings.check();
        errors.extend(settings.check_steps());
        ScenarioError::all(errors)
    }

    fn empty(plan: &Plan, scenario: &Scenario, seed: u64, start: Timestamp) -> Self {
        let limits = &scenario.spec.limits;
        Self {
            now: start,
            random: fastrand::Rng::with_seed(seed),
            queue: Queue::default(),
            account: plan.account_id.clone(),
            region: plan.region.clone(),
            balancers: Vec::new(),
            listeners: Vec::new(),
            routes: Vec::new(),
            groups: Vec::new(),
            processes: Vec::new(),
            rule_index: HashMap::new(),
            group_index: BTreeMap::new(),
            buckets: Buckets {
                modify: Bucket::new(limits.modify, start),
                describe: Bucket::new(limits.describe, start),
                register: Bucket::new(limits.register, start),
            },
            latency: scenario.spec.latency.clone(),
            load: scenario.spec.load.clone(),
            clusters: Vec::new(),
            pods: Vec::new(),
            pod_by_ip: HashMap::new(),
            registrations: 0,
            faults: Faults::new(scenario.spec.faults.clone(), scenario.places.clone()),
            calls: Vec::new(),
            reads: 0,
            requests: 0,
            self_probing: true,
            probes: Vec::new(),
            plan: plan.clone(),
            traffic: super::traffic::TrafficCounters::default(),
            host_samples: super::host_counts::HostSamples::default(),
            client_time: None,
        }
    }

    fn plan_faults(&mut self) {
        for cluster in 0..self.clusters.len() {
            self.schedule_in(std::time::Duration::from_secs(15), LabEvent::Autoscale(cluster));
        }
        for fault in 0..self.faults.list.len() {
            let at = &self.faults.list[fault].at;
            if let Some(time) = at.time {
                let delay = time.0 + at.after.0;
                self.schedule_in(delay, LabEvent::Fault(fault));
            }
        }
        self.check_share_faults();
    }
}
