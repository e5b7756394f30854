//! Compares two clusters, to find out whether the new cluster is fit to take over the workloads of the plan. The rules
//! are pure functions over [`ClusterFacts`], with one file per group. Do not read resources here.
//!
//! A rule ignores facts that are unknown. Only `unknown` reports them.

mod addons;
mod capacity;
mod context;
mod dry_run;
pub mod facts;
pub mod gate;
mod identity;
mod insights;
mod normal;
mod object;
mod pair;
pub mod platform;
mod quantity;
mod references;
mod secrets;
mod services;
mod single_instance;
mod subnets;
mod support;
mod trust;
mod unknown;
mod versions;
mod workloads;

use crate::base::finding::{Finding, Source};
use crate::domain::compare::context::Context;
use crate::domain::compare::facts::ClusterFacts;
use crate::domain::preflight::{Acceptance, kubectl_context};
use crate::plan::model::Plan;

pub use dry_run::candidates;
pub use identity::role_names;
pub use object::Object;
pub use pair::{POD_OWNERS, replicas};
pub use secrets::names as secret_names;
pub use single_instance::{has_service, is_paused};

/// Returns all findings, most severe first, with `accept` applied.
pub fn compare(plan: &Plan, from: &ClusterFacts, to: &ClusterFacts) -> Vec<Finding> {
    let context = Context {
        from,
        to,
        pairs: pair::find(plan, from, to),
        from_pods: pair::PodIndex::new(from),
        to_pods: pair::PodIndex::new(to),
        kubectl_option: kubectl_context(plan, &to.name),
    };
    let mut findings = Vec::new();
    let rules: [fn(&Context<'_>, &mut Vec<Finding>); 14] = [
        versions::check,
        support::check,
        addons::check,
        insights::check,
        dry_run::check,
        workloads::check,
        services::check,
        references::check,
        secrets::check,
        identity::check,
        capacity::check,
        subnets::check,
        single_instance::check,
        unknown::check,
    ];
    for rule in rules {
        rule(&context, &mut findings);
    }
    Acceptance { field: "accept", entries: &plan.accept, source: Source::Compare }.apply(&mut findings);
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.code.cmp(&b.code)).then(a.subject.cmp(&b.subject)));
    findings.dedup();
    findings
}

#[cfg(test)]
mod platform_tests;
#[cfg(test)]
mod test_clusters;
#[cfg(test)]
mod tests;
