//! What the preflight looks at, as plain values: the engine gathers them, the rules judge them. What could not be read stays here as such.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::elb::balancer::{Target, TargetGroup};
use crate::domain::elb::select::{LiveWorld, Selection};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{Identity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ClusterName;

/// Everything that the rules need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Who we are to AWS.
    pub caller: Result<Caller, Unreadable>,
    /// What is live, as far as the plan's selectors reach.
    pub live: LiveWorld,
    /// The plan laid over it.
    pub selection: Selection,
    /// All target groups attached to each of the plan's load balancers, by its ARN.
    pub attached: BTreeMap<String, Result<Vec<TargetGroup>, Unreadable>>,
    /// Targets and their health of those groups and the plan's own, by ARN.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    /// What the reachable clusters say. A cluster without access in the plan is not here.
    pub clusters: BTreeMap<ClusterName, ClusterFacts>,
    /// Why the sources of metric gates cannot be read, by the gate's name; those that can be are not here.
    pub mute: BTreeMap<String, String>,
}

/// Who we are to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// When the credentials end, where they say so.
    pub expires: Option<Timestamp>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterFacts {
    /// Who it is.
    pub identity: Result<Identity, Unreadable>,
    /// Every binding of the cluster.
    pub bindings: Result<Vec<Binding>, Unreadable>,
    /// What each workload of the plan that has a Service has there.
    pub workloads: BTreeMap<String, Result<WorkloadView, Unreadable>>,
    /// Server-side dry-runs of the bindings that would be made, by the group's ARN: the cluster's refusal, if it refuses.
    pub dry_runs: BTreeMap<String, Result<(), String>>,
}

impl Facts {
    /// Targets of a group that are healthy; `None` where health could not be read.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state == crate::domain::elb::balancer::TargetState::Healthy)
    }

    /// Registered targets of a group, draining ones left out; `None` where health could not be read.
    pub fn registered(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state != crate::domain::elb::balancer::TargetState::Draining)
    }

    fn count(&self, group: &str, of: impl Fn(&Target) -> bool) -> Option<u32> {
        let targets = self.health.get(group)?.as_ref().ok()?;
        u32::try_from(targets.iter().filter(|t| of(t)).count()).ok()
    }
}
