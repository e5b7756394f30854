//! Represents why shares cannot be expressed in weights, and the error that is tolerable.

use crate::domain::traffic::ClusterName;

/// Why shares cannot be expressed in the weights of a route.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShareError {
    /// The closest weights are too far from the share.
    #[error(
        "{cluster} would get {got} % instead of {wanted} %: no weights up to {max} come closer without changing the \
         share of the target groups that are not in the plan"
    )]
    TooFar {
        /// The cluster whose share differs too much.
        cluster: ClusterName,
        /// The requested share, in percent of the managed part.
        wanted: u32,
        /// The share that the closest weights give, in percent, rounded to three decimal places.
        got: f64,
        /// The maximum weight.
        max: u16,
    },
    /// The closest weights of sets of servers are too far from the share.
    #[error(
        "{cluster} would get {got} % instead of {wanted} %: no weights of its servers come closer{}",
        smallest.map_or_else(String::new, |share| format!("; the smallest share that it can have is {share} %"))
    )]
    TooCoarse {
        /// The cluster whose share differs too much.
        cluster: ClusterName,
        /// The requested share, in percent of the managed part.
        wanted: u32,
        /// The share that the closest weights give, in percent, rounded to three decimal places.
        got: f64,
        /// The smallest whole share of the cluster that weights can express, if two clusters share the traffic.
        smallest: Option<u32>,
    },
    /// A split that keeps the shares of the other members exactly needs a weight above the maximum.
    #[error("no weights up to {0} keep the share of the target groups that are not in the plan")]
    TooLarge(u16),
    /// The route would have more members than the load balancer allows.
    #[error("the action would have {0} target groups; the maximum is {1}")]
    TooManyMembers(usize, usize),
    /// The plan's members have no weight in the original split, so the managed part is empty.
    #[error("the plan's target groups have no weight in this action")]
    NothingManaged,
    /// A member occurs twice, in the route or for two clusters.
    #[error("target group {0} is named twice")]
    Duplicate(String),
    /// The shares do not name exactly the managed clusters, or their sum is not 100.
    #[error("the shares do not name every cluster once, or their sum is not 100")]
    InvalidShares,
}

/// Whether a distance is at most half a percentage point and at most 10 % of the share.
pub(super) fn is_tolerable(distance: u64, share: u32, total: u64) -> bool {
    distance * 2 <= total && distance * 10 <= u64::from(share) * total
}

/// Returns the greatest common divisor.
pub(in crate::domain::traffic) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
