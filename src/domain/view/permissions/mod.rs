//! Computes the permissions that the commands of a plan need in AWS and in each cluster. Only what the plan needs: no
//! action for CloudWatch without a gate that reads it, no action for EKS without an EKS cluster. Do not render here.

mod aws;
mod kubernetes;
mod model;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::plan::model::{Plan, Selector};

pub use model::{ClusterGrants, Condition, Grant, Permissions, Purpose, Statement};

/// Returns the permissions of a plan for these purposes. `load_balancers` has the ARNs of load balancers that were
/// looked up, by selector; resources of the others are patterns with the names of the plan.
pub fn of(plan: &Plan, purposes: &[Purpose], load_balancers: &BTreeMap<Selector, String>) -> Permissions {
    let purposes = model::with_implied(plan, purposes);
    Permissions {
        aws: aws::statements(plan, &purposes, load_balancers),
        clusters: kubernetes::clusters(plan, &purposes),
    }
}
