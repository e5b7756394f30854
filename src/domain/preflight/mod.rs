//! The preflight: everything that would make a cutover go wrong and can be known before. Pure rules over [`Facts`], one small file a theme.

mod accept;
mod balancer;
mod bindings;
pub mod facts;
mod groups;
mod hpa;
mod identity;
mod metrics;
mod owners;
pub mod permission;
mod traffic;
mod workloads;

pub use accept::ACCEPTABLE_ERRORS;

use std::time::Duration;

use jiff::Timestamp;

use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::{SelectedEntry, SelectedGroup};
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::preflight::facts::{ClusterFacts, Facts};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterAccess, ClusterName, Plan, RouteEntry, Selector, StepKind, Workload};
use crate::plan::schedule;

/// All findings, the selection's own included, gravest first, with `accept` applied. `now` is when the facts were gathered.
pub fn check(plan: &Plan, facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let context = Context { plan, facts, now };
    let mut findings = facts.selection.findings.clone();
    let rules: [fn(&Context<'_>, &mut Vec<Finding>); 9] = [
        identity::check,
        balancer::check,
        owners::check,
        groups::check,
        bindings::check,
        workloads::check,
        hpa::check,
        traffic::check,
        metrics::check,
    ];
    for rule in rules {
        rule(&context, &mut findings);
    }
    accept::apply(plan, &mut findings);
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.code.cmp(&b.code)));
    findings
}

/// How long a plan takes at the least: its bakes, and the settling after each of its writes. Approvals and gates come on top.
pub fn estimate(plan: &Plan) -> Duration {
    plan.strategy.steps.iter().map(|step| schedule::takes(&plan.strategy, step)).sum()
}

/// What every rule sees.
struct Context<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    now: Timestamp,
}

impl<'a> Context<'a> {
    /// Clusters whose share rises above what they start with.
    fn raised(&self) -> Vec<&'a str> {
        let start = |name: &str| self.plan.strategy.start.as_ref().map_or(0, |s| s.get(name).copied().unwrap_or(0));
        let clusters = self.plan.clusters.iter().map(|c| c.name.as_str());
        clusters.filter(|c| self.plan.strategy.peak(c) > start(c)).collect()
    }

    /// Whether the plan has a `bind` step: without one nothing is attached and no binding is made.
    fn binds(&self) -> bool {
        self.plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind)
    }

    fn is_raised(&self, cluster: &str) -> bool {
        self.raised().contains(&cluster)
    }

    /// The plan's groups with their ARN.
    fn groups(&self) -> impl Iterator<Item = (&'a str, &'a SelectedGroup)> {
        self.facts.selection.groups.iter().map(|(arn, g)| (arn.as_str(), g))
    }

    fn group(&self, arn: &str) -> Option<&'a SelectedGroup> {
        self.facts.selection.groups.get(arn)
    }

    /// Each entry with its group of `from` and one of a raised cluster.
    fn pairs(&self) -> Vec<(&'a SelectedEntry, &'a SelectedGroup, &'a SelectedGroup)> {
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

    fn workload(&self, name: &str) -> Option<&'a Workload> {
        self.plan.workloads.iter().find(|w| w.name == name)
    }

    fn cluster(&self, name: &str) -> Option<&'a ClusterFacts> {
        self.facts.clusters.get(name)
    }

    /// Workloads with a Service, in each cluster that the plan reaches and that says something about them.
    fn views(&self) -> impl Iterator<Item = (&'a Workload, &'a str, &'a WorkloadView)> {
        self.plan.workloads.iter().flat_map(move |workload| {
            self.facts.clusters.iter().filter_map(move |(name, cluster)| {
                let view = cluster.workloads.get(&workload.name)?.as_ref().ok()?;
                Some((workload, name.as_str(), view))
            })
        })
    }

    /// `--context …` for kubectl, as `aws eks update-kubeconfig` names contexts.
    fn kubectl_context(&self, cluster: &str) -> String {
        match self.plan.clusters.iter().find(|c| c.name == cluster).map(|c| &c.access) {
            Some(ClusterAccess::Eks(name)) => {
                format!(" --context arn:aws:eks:{}:{}:cluster/{name}", self.plan.region, self.plan.account_id)
            }
            Some(ClusterAccess::KubeContext(name)) => format!(" --context {name}"),
            _ => String::new(),
        }
    }
}

/// The finding for something that the rules needed and that could not be read.
fn unread(subject: &str, what: &str, why: &Unreadable) -> Finding {
    crate::domain::elb::select::unread(subject, what, why)
}

/// Selectors of an entry that are ARNs.
fn named_arns(entry: &RouteEntry) -> Vec<&str> {
    let selectors = std::iter::once(&entry.load_balancer).chain(entry.target_groups.iter().map(|(_, s)| s));
    selectors.filter_map(|s| if let Selector::Arn(arn) = s { Some(arn.as_str()) } else { None }).collect()
}

/// The cluster names of the plan that have a way to be reached.
fn reachable(plan: &Plan) -> impl Iterator<Item = &ClusterName> {
    plan.clusters.iter().filter(|c| c.access != ClusterAccess::None).map(|c| &c.name)
}

fn finding(code: Code, subject: &str, message: String, help: impl Into<String>) -> Finding {
    Finding::new(code, subject, message).help(help)
}

#[cfg(test)]
mod tests;
