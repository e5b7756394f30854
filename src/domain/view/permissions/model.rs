//! Represents permissions: statements of an IAM policy, and grants of verbs on Kubernetes resources.

use std::collections::BTreeSet;

use crate::plan::model::{ClusterAccess, Plan};

/// What the permissions are for: a command, or an option of a command that needs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Commands that only read: `check`, `status`, `rehearse`, `runbook`.
    Check,
    /// Commands that drive a run: `run`, `step`, `resume`, `promote`, `abort`.
    Run,
    /// `rollback`, without a run too.
    Rollback,
    /// `compare`, and the compare gate.
    Compare,
    /// The dry-run of `compare`, for which Kubernetes needs the permission to create workloads in the new cluster.
    CompareDryRun,
    /// `finalize --detach`.
    Finalize,
    /// `finalize --detach --bindings`.
    FinalizeBindings,
    /// `run --detach`.
    Detach,
}

/// Returns the purposes with those that they need: a run also checks, and a plan with a compare gate also compares.
pub(super) fn with_implied(plan: &Plan, purposes: &[Purpose]) -> BTreeSet<Purpose> {
    let mut all: BTreeSet<_> = purposes.iter().copied().collect();
    if all.contains(&Purpose::FinalizeBindings) {
        all.insert(Purpose::Finalize);
    }
    if all.contains(&Purpose::Finalize) || all.contains(&Purpose::Detach) {
        all.insert(Purpose::Run);
    }
    if all.contains(&Purpose::Run) {
        all.insert(Purpose::Check);
    }
    if all.contains(&Purpose::CompareDryRun) || (all.contains(&Purpose::Check) && plan.strategy.compare.is_some()) {
        all.insert(Purpose::Compare);
    }
    all
}

/// The permissions of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// The statements of the IAM policy; empty if nothing of the plan is in AWS.
    pub aws: Vec<Statement>,
    /// The permissions in each cluster that needs any.
    pub clusters: Vec<ClusterGrants>,
}

/// A statement of an IAM policy that allows actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The identifier of the statement.
    pub sid: &'static str,
    /// The actions, such as `elasticloadbalancing:ModifyRule`, sorted.
    pub actions: BTreeSet<&'static str>,
    /// The ARNs of the resources, which may contain `*`, or `*` alone.
    pub resources: Vec<String>,
    /// The condition of the statement.
    pub condition: Option<Condition>,
}

/// A condition of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Requests to this region only.
    Region(String),
    /// Requests that name only tags of this tool.
    OwnTags,
    /// Header rules of this tool only.
    HeaderRules,
}

/// The permissions in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterGrants {
    /// The name of the cluster in the plan, or `state` for a cluster that only stores the runs.
    pub name: String,
    /// How the cluster is reached.
    pub access: ClusterAccess,
    /// The permissions.
    pub grants: BTreeSet<Grant>,
}

/// The permission for a verb on a Kubernetes resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The namespace; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, such as `targetgroupbindings`.
    pub resource: String,
    /// The name of the only object; `None` for all objects.
    pub name: Option<String>,
    /// The verb, such as `list`.
    pub verb: String,
}

impl std::fmt::Display for Grant {
    /// Formats the grant for a message, such as `list pods in namespace shop`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, "/{name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => write!(f, " in the whole cluster"),
        }
    }
}
