//! Implements the preflight, which finds problems that would make a cutover fail and that can be known before the
//! start. The checks are pure functions over [`Facts`], with one file per topic. Do not read resources here.

mod accept;
mod balancer;
mod bindings;
mod capacity;
mod context;
pub mod facts;
mod groups;
mod hpa;
mod identity;
pub mod machine;
mod metrics;
mod network;
mod once;
mod owners;
pub mod permission;
pub mod start;
mod traffic;
mod waits;
mod workloads;
mod zones;

pub use accept::ACCEPTABLE_ERRORS;
pub use waits::notes;

use jiff::Timestamp;

use crate::base::finding::Finding;
use crate::domain::preflight::context::Context;
use crate::domain::preflight::facts::Facts;
use crate::plan::model::Plan;

/// Returns all findings, including the findings of the selection, most severe first, with `accept` applied. `now` is
/// the time at which the facts were read.
pub fn check(plan: &Plan, facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let context = Context { plan, facts, now };
    let mut findings = facts.selection.findings.clone();
    let rules: [fn(&Context<'_>, &mut Vec<Finding>); 13] = [
        identity::check,
        balancer::check,
        owners::check,
        groups::check,
        network::check,
        bindings::check,
        workloads::check,
        hpa::check,
        capacity::check,
        waits::check,
        traffic::check,
        metrics::check,
        machine::check,
    ];
    for rule in rules {
        rule(&context, &mut findings);
    }
    once::merge_credentials(facts, &mut findings);
    once::merge_ended_reading(facts, &mut findings);
    once::merge_equal(&mut findings);
    accept::apply_accept(plan, &mut findings);
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.code.cmp(&b.code)));
    findings
}

#[cfg(test)]
mod tests;
