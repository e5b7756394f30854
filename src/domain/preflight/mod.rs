//! Implements the preflight, which finds problems that would make a cutover fail and that can be known before the
//! start. The checks are pure functions over [`Facts`], with one file per topic. Do not read resources here.

mod accept;
mod balancer;
mod bindings;
mod capacity;
mod context;
pub mod facts;
mod groups;
mod hand_over;
mod haproxy;
mod header_routes;
mod hpa;
mod identity;
pub mod machine;
mod metrics;
mod network;
mod network_balancer;
mod once;
mod owners;
pub mod permission;
pub mod start;
mod steps;
mod swapped;
mod traffic;
mod waits;
mod workloads;
mod zones;

pub use accept::{ACCEPTABLE_ERRORS, Acceptance};
pub use context::kubectl_context;

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::base::finding::{Code, Finding, Source};
use crate::domain::preflight::context::Context;
use crate::domain::preflight::facts::Facts;
use crate::plan::model::Plan;

/// Returns the findings that need no facts, so that an offline check also has them.
pub fn notes(plan: &Plan) -> Vec<Finding> {
    [waits::notes(plan), steps::notes(plan), network_balancer::notes(plan)].concat()
}

/// Returns the names of the account's quotas that the checks of a plan need.
pub fn needed_quotas(plan: &Plan) -> Vec<&'static str> {
    [network_balancer::needed_quotas(plan), header_routes::needed_quotas(plan)].concat()
}

/// Returns all findings, including the findings of the selection, most severe first, with `accept` applied. `now` is
/// the time at which the facts were read.
pub fn check(plan: &Plan, facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let context = Context { plan, facts, now };
    let mut findings = facts.selection.findings.clone();
    let rules: [fn(&Context<'_>, &mut Vec<Finding>); 18] = [
        identity::check,
        balancer::check,
        owners::check,
        groups::check,
        haproxy::check,
        header_routes::check,
        network::check,
        network_balancer::check,
        bindings::check,
        workloads::check,
        hpa::check,
        capacity::check,
        waits::check,
        steps::check,
        traffic::check,
        metrics::check,
        machine::check,
        hand_over::check,
    ];
    for rule in rules {
        rule(&context, &mut findings);
    }
    swapped::correct_advice(&context, &mut findings);
    once::merge_credentials(facts, &mut findings);
    once::merge_ended_reading(facts, &mut findings);
    once::merge_equal(&mut findings);
    once::drop_false_trails(&mut findings);
    Acceptance { field: "accept", entries: &plan.accept, source: Source::Preflight }.apply(&mut findings);
    findings.sort_by_key(|finding| (Reverse(finding.severity), place_of_cause(finding.code)));
    findings
}

/// Returns the sort key of a code among the codes of one severity. CUT048 (no traffic is where the plan expects it)
/// causes CUT046 (an unexpected number of routes), so CUT048 comes first.
fn place_of_cause(code: Code) -> (Code, bool) {
    if code == Code::CUT046 { (Code::CUT048, true) } else { (code, false) }
}

#[cfg(test)]
mod tests;
