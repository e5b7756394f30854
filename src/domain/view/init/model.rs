//! The input of `cutover init`, and its errors.

use std::collections::BTreeMap;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::select::BalancerReadError;
use crate::domain::kubernetes::binding::Binding;
use crate::plan::model::{ClusterAccess, Selector, ServiceRef};

/// The options of `cutover init`.
#[derive(Debug, Clone, PartialEq)]
pub struct InitRequest {
    /// The load balancer.
    pub load_balancer: Selector,
    /// Globs for the groups that carry the traffic now.
    pub from: Vec<String>,
    /// Globs for the groups that will carry it.
    pub to: Vec<String>,
    /// Access to the cluster behind `from`.
    pub from_cluster: ClusterAccess,
    /// Access to the cluster behind `to`.
    pub to_cluster: ClusterAccess,
    /// The Service in both clusters, for a single workload; `None`: taken from existing bindings.
    pub service: Option<ServiceRef>,
    /// The plan's name; `None`: the name of the load balancer.
    pub name: Option<String>,
}

/// The facts that were read.
#[derive(Debug, Clone, PartialEq)]
pub struct InitFacts {
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// Its listeners with their routes.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// Its target groups, and the groups of the account that are not attached to any load balancer.
    pub groups: Vec<TargetGroup>,
    /// Bindings of the cluster behind `from`; empty if it was not reached.
    pub from_bindings: Vec<Binding>,
    /// Bindings of the cluster behind `to`.
    pub to_bindings: Vec<Binding>,
}

/// Why no plan can be written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InitError {
    /// The load balancer, or something of it, could not be read.
    #[error(transparent)]
    Look(#[from] BalancerReadError),
    /// The globs match no group.
    #[error("no target group matches {}{}", quoted(globs), candidates_text(there))]
    NoGroup {
        /// The globs.
        globs: Vec<String>,
        /// Names of the candidates.
        there: Vec<String>,
    },
    /// The matching groups do not form pairs.
    #[error(
        "no group of {} pairs with {}: the part of the name that `*` stands for must be equal{}",
        quoted(globs), from.join(", "), candidates_text(there)
    )]
    NoPair {
        /// The groups of `from`.
        from: Vec<String>,
        /// The globs of `to`.
        globs: Vec<String>,
        /// Groups that match those globs.
        there: Vec<String>,
    },
    /// The load balancer is of a type whose weights this version does not write.
    #[error(
        "{load_balancer} is a {kind} load balancer; this version of cutover moves traffic on Application Load \
         Balancers only"
    )]
    OtherType {
        /// The load balancer's name.
        load_balancer: String,
        /// Its type.
        kind: String,
    },
    /// The groups of `from` carry no traffic.
    #[error("on {load_balancer}, no traffic goes to {}{}", from.join(", "), hint(*swapped))]
    CarriesNothing {
        /// The groups.
        from: Vec<String>,
        /// The load balancer's name.
        load_balancer: String,
        /// Whether `to` carries traffic.
        swapped: bool,
    },
    /// A route forwards to both groups of a pair already.
    #[error(
        "these routes already split traffic between --from and --to: {}; set one side to 0 first",
        routes.join(", ")
    )]
    Split {
        /// Their labels.
        routes: Vec<String>,
    },
    /// A route forwards to groups of two pairs.
    #[error(
        "{route} forwards to {}, but a route can belong to one workload only; use narrower globs",
        groups.join(" and ")
    )]
    Shared {
        /// Its label.
        route: String,
        /// The groups.
        groups: Vec<String>,
    },
    /// The YAML could not be written.
    #[error("the plan cannot be written: {0}")]
    Yaml(String),
}

fn hint(swapped: bool) -> &'static str {
    if swapped { "; the groups of --to do: are --from and --to swapped?" } else { "" }
}

fn quoted(globs: &[String]) -> String {
    globs.iter().map(|g| format!("'{g}'")).collect::<Vec<_>>().join(", ")
}

fn candidates_text(there: &[String]) -> String {
    if there.is_empty() { "; there are none".to_owned() } else { format!("; there are: {}", there.join(", ")) }
}

/// The old and the new target group of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPair {
    pub(super) workload: String,
    pub(super) from: TargetGroup,
    pub(super) to: TargetGroup,
    /// Number of routes in which `from` carries traffic.
    pub(super) actions: usize,
}

/// Labels of the routes in which each group carries traffic.
pub fn routes_by_group(seen: &InitFacts) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for route in routes(seen) {
        let split = &route.content.split;
        for id in split.ids().filter(|id| split.carries(id)) {
            all.entry(id).or_default().push(route.label());
        }
    }
    all
}

pub fn routes(seen: &InitFacts) -> impl Iterator<Item = &LiveRoute> {
    seen.listeners.iter().flat_map(|(_, routes)| routes)
}

/// Returns the text as a valid name in a plan (a DNS-1123 label); `otherwise` if nothing is left.
pub fn plan_name(text: &str, otherwise: &str) -> String {
    let lower: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let trimmed: String = lower.trim_matches('-').chars().take(63).collect();
    let trimmed = trimmed.trim_end_matches('-');
    if trimmed.is_empty() { otherwise.to_owned() } else { trimmed.to_owned() }
}
