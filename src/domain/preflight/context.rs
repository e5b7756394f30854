//! Provides the input of every check, and functions that build findings.

use jiff::Timestamp;

use crate::base::arn;
use crate::base::finding::{Code, Finding};
use crate::base::partition;
use crate::domain::elb::other_type::kind_of;
use crate::domain::elb::select::{SelectedEntry, SelectedGroup};
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::preflight::facts::{ClusterFacts, Facts};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{BalancerKind, ClusterAccess, ClusterName, Plan, RouteEntry, Selector, StepKind, Workload};

/// The input of a check.
pub struct Context<'a> {
    /// The plan to check.
    pub plan: &'a Plan,
    /// The facts that were read.
    pub facts: &'a Facts,
    /// The time at which the facts were read.
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// Returns the clusters that get a larger share than at the start.
    pub fn raised(&self) -> Vec<&'a str> {
        let start = |name: &str| self.plan.strategy.start.as_ref().map_or(0, |s| s.get(name).copied().unwrap_or(0));
        let clusters = self.plan.clusters.iter().map(|c| c.name.as_str());
        clusters.filter(|c| self.plan.strategy.peak(c) > start(c)).collect()
    }

    /// Whether the plan has a `bind` step. Without a `bind` step, no group is attached and no binding is created.
    pub fn binds(&self) -> bool {
        self.plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind)
    }

    /// Whether a cluster gets a larger share than at the start.
    pub fn is_raised(&self, cluster: &str) -> bool {
        self.raised().contains(&cluster)
    }

    /// Returns the plan's groups by ARN.
    pub fn groups(&self) -> impl Iterator<Item = (&'a str, &'a SelectedGroup)> {
        self.facts.selection.groups.iter().map(|(arn, g)| (arn.as_str(), g))
    }

    /// Returns a group of the plan by its ARN.
    pub fn group(&self, arn: &str) -> Option<&'a SelectedGroup> {
        self.facts.selection.groups.get(arn)
    }

    /// Returns the kind of a load balancer of the plan; `None` if cutover does not move the traffic of its type, or if
    /// the plan has it under the key of another kind.
    pub fn kind(&self, load_balancer: &str) -> Option<BalancerKind> {
        let selection = &self.facts.selection;
        let kind = kind_of(selection.load_balancers.get(load_balancer)?).ok()?;
        let mut entries = selection.entries.iter().filter(|entry| entry.load_balancer == load_balancer);
        entries.all(|entry| entry.kind == kind).then_some(kind)
    }

    /// Whether a load balancer is a Network Load Balancer, also by the plan.
    pub fn is_network(&self, load_balancer: &str) -> bool {
        self.kind(load_balancer) == Some(BalancerKind::Nlb)
    }

    /// Returns each entry with the group of `from` and a group of a raised cluster, for every such group.
    pub fn pairs(&self) -> Vec<(&'a SelectedEntry, &'a SelectedGroup, &'a SelectedGroup)> {
        let (from, raised) = (&self.plan.strategy.from, self.raised());
        let mut all = Vec::new();
        for entry in &self.facts.selection.entries {
            let Some(old) = entry.groups.get(from).and_then(|a| self.group(a)) else { continue };
            for (_, arn) in entry.groups.iter().filter(|(c, _)| *c != from && raised.contains(&c.as_str())) {
                all.extend(self.group(arn).map(|new| (entry, old, new)));
            }
        }
        all
    }

    /// Returns a workload of the plan by its name.
    pub fn workload(&self, name: &str) -> Option<&'a Workload> {
        self.plan.workloads.iter().find(|w| w.name == name)
    }

    /// Returns the name of a cluster in EKS, if the plan has it (in `eks`, or in a context that is an ARN) or the
    /// kubeconfig.
    pub fn eks_name(&self, cluster: &str) -> Option<&'a str> {
        let read = || self.cluster(cluster)?.identity.as_ref().ok()?.eks_name.as_deref();
        match self.plan.clusters.iter().find(|c| c.name == cluster).map(|c| &c.access)? {
            ClusterAccess::Eks(name) => Some(name),
            ClusterAccess::KubeContext(context) => {
                arn::resource(context).strip_prefix("cluster/").filter(|name| !name.is_empty()).or_else(read)
            }
            ClusterAccess::None => None,
        }
    }

    /// Whether any workload has a Service in a cluster.
    pub fn has_service(&self, cluster: &str) -> bool {
        self.plan.workloads.iter().any(|w| w.service(cluster).is_some())
    }

    /// Returns the facts about a cluster.
    pub fn cluster(&self, name: &str) -> Option<&'a ClusterFacts> {
        self.facts.clusters.get(name)
    }

    /// Returns the objects of every workload with a Service, for each cluster in which they could be read.
    pub fn views(&self) -> impl Iterator<Item = (&'a Workload, &'a str, &'a WorkloadView)> {
        self.plan.workloads.iter().flat_map(move |workload| {
            self.facts.clusters.iter().filter_map(move |(name, cluster)| {
                let view = cluster.workloads.get(&workload.name)?.as_ref().ok()?;
                Some((workload, name.as_str(), view))
            })
        })
    }

    /// Returns the option ` --context …` for kubectl, as [`kubectl_context`] does.
    pub fn kubectl_context(&self, cluster: &str) -> String {
        kubectl_context(self.plan, cluster)
    }
}

/// Returns the option ` --context …` for kubectl, with the context name that `aws eks update-kubeconfig` assigns; empty
/// if the plan gives no access to the cluster.
pub fn kubectl_context(plan: &Plan, cluster: &str) -> String {
    match plan.clusters.iter().find(|c| c.name == cluster).map(|c| &c.access) {
        Some(ClusterAccess::Eks(name)) => {
            let (region, account) = (&plan.region, &plan.account_id);
            let partition = partition::of_region(region).name;
            format!(" --context arn:{partition}:eks:{region}:{account}:cluster/{name}")
        }
        Some(ClusterAccess::KubeContext(name)) => format!(" --context {name}"),
        _ => String::new(),
    }
}

/// Returns a finding about a resource that the checks need but that could not be read.
pub fn unread_finding(subject: &str, what: &str, why: &Unreadable) -> Finding {
    crate::domain::elb::select::unread(subject, what, why)
}

/// Returns the selectors of an entry that are ARNs.
pub fn named_arns(entry: &RouteEntry) -> Vec<&str> {
    let selectors = std::iter::once(&entry.load_balancer).chain(entry.target_groups.iter().map(|(_, s)| s));
    selectors.filter_map(|s| if let Selector::Arn(arn) = s { Some(arn.as_str()) } else { None }).collect()
}

/// Returns the names of the clusters to which the plan gives access.
pub fn reachable(plan: &Plan) -> impl Iterator<Item = &ClusterName> {
    plan.clusters.iter().filter(|c| c.access != ClusterAccess::None).map(|c| &c.name)
}

/// Returns a finding with a help text.
pub fn finding(code: Code, subject: &str, message: String, help: impl Into<String>) -> Finding {
    Finding::new(code, subject, message).help(help)
}
