//! Finds the one load balancer that a selector matches.

use super::model::selector_text;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Selector;

/// Why a selected load balancer could not be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BalancerReadError {
    /// The selector does not match exactly one load balancer.
    #[error("`{selector}` matches {}", match found.as_slice() {
        [] => "no load balancer in this account and region".to_owned(),
        found => format!("{} load balancers, but must match one: {}", found.len(), found.join(", ")),
    })]
    NotOne {
        /// The selector as the user wrote it.
        selector: String,
        /// Names of the load balancers that match.
        found: Vec<String>,
    },
    /// The load balancer or a part of it could not be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// The resource that could not be read.
        what: String,
        /// Why the resource could not be read.
        why: Unreadable,
    },
}

/// Returns the only load balancer that the selector matches.
pub fn exactly_one_match(
    selector: &Selector,
    found: Result<Vec<LoadBalancer>, Unreadable>,
) -> Result<LoadBalancer, BalancerReadError> {
    let name = selector_text(selector);
    let mut found = match found {
        Err(Unreadable::NotFound(_)) => Vec::new(),
        other => other.map_err(|why| BalancerReadError::Unreadable { what: format!("load balancer {name}"), why })?,
    };
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (last, _) => Err(BalancerReadError::NotOne {
            selector: name,
            found: found.into_iter().chain(last).map(|lb| lb.name).collect(),
        }),
    }
}
