//! Represents the facts that the preflight checks, as plain values. The engine gathers the facts. A fact that could not
//! be read is recorded as [`Unreadable`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::{LiveResources, Selection};
use crate::domain::hand_over::{ItemPlace, ItemStart, Readings};
use crate::domain::health::Target;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::metric::gate::MeasuredValue;
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterName, ItemRef};

/// All facts that the checks need.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The identity of the caller in AWS.
    pub caller: Result<Caller, Unreadable>,
    /// The live resources that the plan's selectors match.
    pub live: LiveResources,
    /// The routes that the plan selects from the live resources.
    pub selection: Selection,
    /// All target groups that are attached to the plan's load balancers, by the ARN of the load balancer.
    pub attached: BTreeMap<String, Result<Vec<TargetGroup>, Unreadable>>,
    /// The targets of the attached groups and of the plan's groups, by the ARN of the group.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    /// The quotas of the account that the checks of the plan need (see [`needed_quotas`](super::needed_quotas)), by name.
    pub quotas: BTreeMap<&'static str, Result<u32, Unreadable>>,
    /// The facts about the clusters to which the plan gives access.
    pub clusters: BTreeMap<ClusterName, ClusterFacts>,
    /// The answer of the source of each metric gate, by the name of the gate. Sources that were not queried are missing
    /// here.
    pub gate_answers: BTreeMap<String, MeasuredValue>,
    /// The items of the plan's hand-overs.
    pub items: ItemFacts,
    /// Facts about this machine.
    pub machine: MachineFacts,
    /// Why AWS was not read completely, with the number of calls; `None` if the time for reading was sufficient.
    pub reading_ended: Option<String>,
}

/// Facts about the items of hand-overs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemFacts {
    /// The items of each step.
    pub starts: Vec<ItemStart>,
    /// The selectors that match nothing (`None`) or that could not be read.
    pub unselected: Vec<(ItemRef, Option<Unreadable>)>,
    /// The items in both clusters.
    pub readings: Readings,
    /// The CronJobs that have missed a schedule, and whose `lastScheduleTime` the caller may not set.
    pub fixed_schedules: BTreeSet<ItemPlace>,
}

/// Facts about the machine that would drive the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineFacts {
    /// Commands of the plan that cannot be executed here.
    pub unusable_commands: Vec<UnusableCommand>,
    /// Why a notification cannot be delivered, by the position of the notification in the plan.
    pub notifications: BTreeMap<usize, String>,
}

/// A command of the plan that cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableCommand {
    /// The place of the command, such as `hook scale-up (before shift)`.
    pub place: String,
    /// The program, as written in the plan.
    pub program: String,
    /// The path of the program, and why the program cannot be executed.
    pub problem: String,
    /// Whether a failure of the command fails the run.
    pub required: bool,
}

/// The identity of the caller in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the caller, twelve digits.
    pub account: String,
    /// The ARN of the user or assumed role.
    pub arn: String,
    /// The time at which the credentials expire, if known.
    pub expires: Option<Timestamp>,
}

/// The facts about one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterFacts {
    /// The identity of the cluster.
    pub identity: Result<ClusterIdentity, Unreadable>,
    /// All bindings of the cluster.
    pub bindings: Result<Vec<Binding>, Unreadable>,
    /// The objects of each workload of the plan with a Service, by the name of the workload.
    pub workloads: BTreeMap<String, Result<WorkloadView, Unreadable>>,
    /// The results of server-side dry-runs of the bindings to create, by the ARN of the group. A success contains the
    /// fields of `spec` that the API of the cluster does not have and that are omitted.
    pub dry_runs: BTreeMap<String, Result<Vec<String>, DryRunError>>,
}

/// Why a dry-run of a binding did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRunError {
    /// The cluster refused the binding.
    Refused(String),
    /// There was no answer, so it is unknown whether the cluster accepts the binding.
    NoAnswer(String),
}

impl Facts {
    /// Returns the number of healthy targets of a group; `None` if the health of the group could not be read.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state == crate::domain::health::TargetState::Healthy)
    }

    /// Whether a group is known to have no healthy target; `false` if a target has no health checks.
    pub fn has_no_healthy(&self, group: &str) -> bool {
        let unchecked = |targets: &Vec<Target>| targets.iter().any(Target::is_unchecked);
        let known = self.health.get(group).and_then(|h| h.as_ref().ok()).is_some_and(|targets| !unchecked(targets));
        known && self.healthy(group) == Some(0)
    }

    /// Returns the number of registered targets of a group without draining targets; `None` if the health of the group
    /// could not be read.
    pub fn registered(&self, group: &str) -> Option<u32> {
        self.count(group, |t| t.state != crate::domain::health::TargetState::Draining)
    }

    fn count(&self, group: &str, of: impl Fn(&Target) -> bool) -> Option<u32> {
        let targets = self.health.get(group)?.as_ref().ok()?;
        u32::try_from(targets.iter().filter(|t| of(t)).count()).ok()
    }
}
