//! Combines plan and scenario to the settings of a cluster, workload or target group.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lab::model::LAMBDA;
use crate::lab::scenario::model::{self, Cluster, GitOps, HealthCheck, LoadBalancer, Workload};
use crate::lab::scenario::{Scenario, ScenarioError};
use crate::plan::model::{BindingMode, Plan, TargetType};
use crate::plan::suggest::near_name;

/// The plan and the scenario of a lab.
pub(super) struct Settings<'a> {
    pub plan: &'a Plan,
    pub scenario: &'a Scenario,
}

/// The settings of a workload in one cluster, with defaults filled in.
pub(super) struct WorkloadSettings {
    pub replicas: u32,
    pub startup: Duration,
    pub pre_stop: Duration,
    pub port: u16,
    pub health_status: u16,
    pub readiness_gates: bool,
    pub hpa: Option<model::Hpa>,
    pub bound: bool,
    pub multi_cluster: bool,
    pub target_group: Option<String>,
    pub exists: bool,
    pub owner: GitOps,
}

impl Settings<'_> {
    /// Checks that the plan has every cluster and workload that the scenario names. Returns all errors.
    pub fn check(&self) -> Vec<ScenarioError> {
        let spec = &self.scenario.spec;
        let mut errors = Vec::new();
        for (i, cluster) in spec.clusters.iter().enumerate() {
            errors.extend(self.check_cluster(&format!("spec.clusters[{i}].name"), &cluster.name).err());
            for workload in cluster.workloads.keys() {
                let path = format!("spec.clusters[{i}].workloads.{workload}");
                errors.extend(self.check_workload(&path, workload).err());
            }
        }
        for (i, group) in spec.target_groups.iter().enumerate() {
            if let Some(cluster) = &group.cluster {
                errors.extend(self.check_cluster(&format!("spec.targetGroups[{i}].cluster"), cluster).err());
            }
        }
        errors.extend(self.check_faults());
        errors
    }

    pub(super) fn check_cluster(&self, path: &str, cluster: &str) -> Result<(), ScenarioError> {
        if matches!(cluster, "from" | "to") || self.plan.clusters.iter().any(|c| c.name == cluster) {
            return Ok(());
        }
        let names: Vec<&str> = self.plan.clusters.iter().map(|c| c.name.as_str()).collect();
        let valid = format!("{}, `from` and `to`", names.join(", "));
        Err(self.unknown(path, "cluster", cluster, names.into_iter().chain(["from", "to"]).collect(), &valid))
    }

    pub(super) fn check_workload(&self, path: &str, workload: &str) -> Result<(), ScenarioError> {
        if self.plan.workloads.iter().any(|w| w.name == workload) {
            return Ok(());
        }
        let names: Vec<&str> = self.plan.workloads.iter().map(|w| w.name.as_str()).collect();
        let valid = names.join(", ");
        Err(self.unknown(path, "workload", workload, names, &valid))
    }

    /// Returns the error about a name that the plan does not have, with the name that was probably meant.
    pub(super) fn unknown(&self, path: &str, kind: &str, name: &str, names: Vec<&str>, valid: &str) -> ScenarioError {
        let meant = near_name(name, names).map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        self.scenario.entry(path, format!("the plan has no {kind} `{name}`{meant}; valid names are {valid}"))
    }

    /// Returns the name in the plan of a cluster that the scenario names; `from` and `to` are resolved.
    pub fn cluster<'b>(&'b self, name: &'b str) -> &'b str {
        cluster_name(self.plan, name)
    }

    fn clusters_named(&self, name: &str) -> impl Iterator<Item = &Cluster> {
        self.scenario.spec.clusters.iter().filter(move |c| self.cluster(&c.name) == name)
    }

    /// Returns the Kubernetes version of a cluster, and whether the cluster is in EKS Auto Mode.
    pub fn version(&self, cluster: &str) -> (String, bool) {
        let version = self.clusters_named(cluster).find_map(|c| c.version.clone());
        (version.unwrap_or_else(|| "1.33".into()), self.clusters_named(cluster).any(|c| c.auto_mode))
    }

    /// Returns the settings of a workload in a cluster. Later and more specific entries of the scenario override
    /// others.
    pub fn workload(&self, cluster: &str, workload: &str) -> WorkloadSettings {
        let planned = self.plan.workloads.iter().find(|w| w.name == workload);
        let verify = planned.is_some_and(|w| w.binding.mode == BindingMode::Verify || w.service(cluster).is_none());
        let start = self.plan.strategy.start.as_ref();
        let carries = start.is_none_or(|s| s.get(cluster).is_some_and(|share| *share > 0));
        let mut workload_settings = WorkloadSettings {
            replicas: 4,
            startup: Duration::from_secs(10),
            pre_stop: Duration::from_secs(45),
            port: 8080,
            health_status: 200,
            readiness_gates: false,
            hpa: None,
            bound: verify || cluster == self.plan.strategy.from || carries,
            multi_cluster: false,
            target_group: None,
            exists: true,
            owner: if planned.is_some_and(|w| w.binding.mode == BindingMode::Verify) {
                GitOps::ArgoCd
            } else {
                GitOps::None
            },
        };
        for entry in self.clusters_named(cluster) {
            workload_settings.apply(&entry.workload);
            if let Some(own) = entry.workloads.get(workload) {
                workload_settings.apply(own);
            }
        }
        workload_settings
    }

    /// Returns the share of a cluster at the start, in percent. If the plan has no `start`, the cluster `from` has 100.
    pub fn starting_share(&self, cluster: &str) -> u16 {
        let strategy = &self.plan.strategy;
        match &strategy.start {
            Some(shares) => shares.get(cluster).and_then(|s| u16::try_from(*s).ok()).unwrap_or(0),
            None if cluster == strategy.from => 100,
            None => 0,
        }
    }

    /// Returns the scenario's entries for a load balancer, in order.
    pub fn balancer<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b LoadBalancer> {
        self.scenario.spec.load_balancers.iter().filter(move |l| l.name.as_deref().is_none_or(|n| n == name))
    }

    /// Returns the target type that the scenario sets for a cluster's group; otherwise `planned`.
    pub fn target_type(&self, cluster: &str, name: &str, planned: TargetType) -> &'static str {
        let entries = self.scenario.spec.target_groups.iter().filter(|entry| {
            let of_cluster = entry.cluster.as_deref().is_none_or(|c| self.cluster(c) == cluster);
            of_cluster && entry.name.as_deref().is_none_or(|n| n == name)
        });
        match entries.filter_map(|entry| entry.target_type).next_back() {
            Some(model::TargetType::Ip) => TargetType::Ip.name(),
            Some(model::TargetType::Instance) => TargetType::Instance.name(),
            Some(model::TargetType::Lambda) => LAMBDA,
            None => planned.name(),
        }
    }

    /// Returns the fields of TargetGroupBinding that a cluster's CRD does not have.
    pub fn missing_binding_fields(&self, cluster: &str) -> Vec<String> {
        self.clusters_named(cluster).flat_map(|c| c.missing_binding_fields.clone()).collect()
    }

    /// Returns the scenario's settings of a group: health check, attributes, tags, and whether the group is attached at
    /// the start.
    pub fn group(
        &self,
        cluster: Option<&str>,
        name: &str,
    ) -> (HealthCheck, BTreeMap<String, String>, BTreeMap<String, String>, Option<bool>) {
        let (mut check, mut attributes, mut tags, mut attached) =
            (HealthCheck::default(), BTreeMap::new(), BTreeMap::new(), None);
        for entry in &self.scenario.spec.target_groups {
            let of_cluster = entry.cluster.as_deref().is_none_or(|c| Some(self.cluster(c)) == cluster);
            if of_cluster && entry.name.as_deref().is_none_or(|n| n == name) {
                let own = entry.health_check.clone();
                check = HealthCheck {
                    interval: own.interval.or(check.interval),
                    timeout: own.timeout.or(check.timeout),
                    healthy_threshold: own.healthy_threshold.or(check.healthy_threshold),
                    unhealthy_threshold: own.unhealthy_threshold.or(check.unhealthy_threshold),
                    path: own.path.or(check.path),
                    matcher: own.matcher.or(check.matcher),
                };
                attributes.extend(entry.attributes.clone());
                tags.extend(entry.tags.clone());
                attached = entry.attached.or(attached);
            }
        }
        (check, attributes, tags, attached)
    }
}

impl WorkloadSettings {
    fn apply(&mut self, settings: &Workload) {
        self.replicas = settings.replicas.unwrap_or(self.replicas);
        self.startup = settings.startup.map_or(self.startup, |p| p.0);
        self.pre_stop = settings.pre_stop.map_or(self.pre_stop, |p| p.0);
        self.port = settings.port.unwrap_or(self.port);
        self.health_status = settings.health_status.unwrap_or(self.health_status);
        self.readiness_gates = settings.readiness_gates.unwrap_or(self.readiness_gates);
        self.exists = settings.exists.unwrap_or(self.exists);
        self.owner = settings.owner.unwrap_or(self.owner);
        self.hpa = settings.hpa.clone().or(self.hpa.take());
        if let Some(binding) = &settings.binding {
            self.bound = binding.exists.unwrap_or(self.bound);
            self.multi_cluster = binding.multi_cluster;
            self.target_group = binding.target_group.clone().or(self.target_group.take());
        }
    }
}

/// Returns the name in the plan of a cluster that a scenario names; `from` and `to` are resolved.
pub(in crate::lab::model) fn cluster_name<'a>(plan: &'a Plan, name: &'a str) -> &'a str {
    match name {
        _ if plan.clusters.iter().any(|c| c.name == name) => name,
        "from" => &plan.strategy.from,
        "to" => &plan.strategy.to,
        other => other,
    }
}
