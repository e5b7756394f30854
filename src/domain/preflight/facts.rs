//! The input of the preflight as plain values: the engine gathers them, the checks judge them. A fact that could not be
//! read is recorded as [`Unreadable`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::{LiveResources, Selection};
use crate::domain::health::Target;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ClusterName;

/// Everything that the checks need.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The identity of the caller in AWS.
    pub caller: Result<Caller, Unreadable>,
    /// The live resources that the plan's selectors name.
    pub live: LiveResources,
    /// The routes that the plan selects among them.
    pub selection: Selection,
    /// All target groups attached to each of the plan's load balancers, by its ARN.
    pub attached: BTreeMap<String, Result<Vec<TargetGroup>, Unreadable>>,
    /// Targets of those groups and of the plan's own, with their health, by ARN.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    /// Facts about the clusters that can be accessed. A cluster without access in the plan is missing here.
    pub clusters: BTreeMap<ClusterName, ClusterFacts>,
    /// Why the source of a metric gate cannot be read, by the gate's name. Sources that can be read are missing here.
    pub unreadable_gates: BTreeMap<String, String>,
}

/// The identity of the caller in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// When the credentials expire, if known.
    pub expires: Option<Timestamp>,
}

/// Facts about one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterFacts {
    /// The cluster's identity.
    pub identity: Result<ClusterIdentity, Unreadable>,
    /// Every binding of the cluster.
    pub bindings: Result<Vec<Binding>, Unreadable>,
    /// The objects of each workload of the plan that has a Service.
    pub workloads: BTreeMap<String, Result<WorkloadView, Unreadable>>,
    /// Results of server-side dry-runs of the bindings to create, by the group's ARN: the fields of `spec` that the
    /// cluster's API lacks and that are left out, or the cluster's refusal.
    pub dry_runs: BTreeMap<String, Result<Vec<String>, String>>,
}

impl Facts {
    /// Returns the number of healthy targets of a group; `None` if its health could not be read.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state == crate::domain::health::TargetState::Healthy)
    }

    /// Whether a group is known to have no healthy target. Targets whose health checks are off may be healthy.
    pub fn has_no_healthy(&self, group: &str) -> bool {
        let unchecked = |targets: &Vec<Target>| targets.iter().any(Target::is_unchecked);
        let known = self.health.get(group).and_then(|h| h.as_ref().ok()).is_some_and(|targets| !unchecked(targets));
        known && self.healthy(group) == Some(0)
    }

    /// Returns the number of registered targets of a group without draining ones; `None` if its health could not be
    /// read.
    pub fn registered(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state != crate::domain::health::TargetState::Draining)
    }

    fn count(&self, group: &str, of: impl Fn(&Target) -> bool) -> Option<u32> {
        let targets = self.health.get(group)?.as_ref().ok()?;
        u32::try_from(targets.iter().filter(|t| of(t)).count()).ok()
    }
}
