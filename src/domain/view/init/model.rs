//! Represents the input and the errors of `cutover init`.

use std::collections::BTreeMap;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::select::BalancerReadError;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::UnreadRoute;
use crate::plan::model::{ClusterAccess, Selector, ServiceRef};

/// The options of `cutover init`.
#[derive(Debug, Clone, PartialEq)]
pub struct InitRequest {
    /// Selects the load balancer.
    pub load_balancer: Selector,
    /// The globs for the groups that have the traffic now.
    pub from: Vec<String>,
    /// The globs for the groups that will get the traffic.
    pub to: Vec<String>,
    /// The access to the old cluster.
    pub from_cluster: ClusterAccess,
    /// The access to the new cluster.
    pub to_cluster: ClusterAccess,
    /// The Service in both clusters, for a plan with one workload; `None` if the Service is taken from existing
    /// bindings.
    pub service: Option<ServiceRef>,
    /// The name of the plan; `None` means the name of the load balancer.
    pub name: Option<String>,
}

/// The facts that `cutover init` read.
#[derive(Debug, Clone, PartialEq)]
pub struct InitFacts {
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// The listeners of the load balancer with their routes.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// The target groups of the load balancer, and the groups of the account that are not attached to a load balancer.
    pub groups: Vec<TargetGroup>,
    /// The bindings of the old cluster; empty if the cluster was not read.
    pub from_bindings: Vec<Binding>,
    /// The bindings of the new cluster; empty if the cluster was not read.
    pub to_bindings: Vec<Binding>,
}

impl InitFacts {
    /// Returns the routes with an element that this build does not know.
    pub fn unread(&self) -> impl Iterator<Item = &UnreadRoute> {
        self.listeners.iter().flat_map(|(listener, _)| &listener.unread)
    }
}

/// Why `cutover init` cannot write a plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InitError {
    /// The load balancer or a part of it could not be read.
    #[error(transparent)]
    Look(#[from] BalancerReadError),
    /// The globs match no group.
    #[error("no target group matches {}{}", quote_globs(globs), candidates_text(there))]
    NoGroup {
        /// The globs.
        globs: Vec<String>,
        /// The names of the target groups that exist.
        there: Vec<String>,
    },
    /// The matching groups do not form pairs.
    #[error(
        "no group of {} pairs with {}: the part of the name that `*` stands for must be equal{}",
        quote_globs(globs), from.join(", "), candidates_text(there)
    )]
    NoPair {
        /// The groups of `from`.
        from: Vec<String>,
        /// The globs of `to`.
        globs: Vec<String>,
        /// The names of the groups that match the globs of `to`.
        there: Vec<String>,
    },
    /// The load balancer is of a type whose weights this version does not write.
    #[error("{0}")]
    OtherType(String),
    /// The groups of `from` have no traffic.
    #[error("on {load_balancer}, no traffic goes to {}{}", from.join(", "), swapped_hint(*swapped))]
    CarriesNothing {
        /// The names of the groups of `from`.
        from: Vec<String>,
        /// The load balancer's name.
        load_balancer: String,
        /// Whether a group of `to` has traffic.
        swapped: bool,
    },
    /// A route already forwards to both groups of a pair.
    #[error(
        "these routes already split traffic between the groups of --from and --to: {}; first set one of the groups to weight 0",
        routes.join(", ")
    )]
    Split {
        /// The labels of the routes.
        routes: Vec<String>,
    },
    /// A route forwards to groups of two pairs.
    #[error(
        "{route} forwards to {}, but a route can belong to one workload only; use narrower globs",
        groups.join(" and ")
    )]
    Shared {
        /// The label of the route.
        route: String,
        /// The names of the groups.
        groups: Vec<String>,
    },
    /// Both clusters of a plan for a whole cluster are one cluster.
    #[error(
        "--from-cluster {from} and --to-cluster {to} are the same cluster{}: name the cluster that has the traffic now, \
         and the one that will get it",
        why
    )]
    SameCluster {
        /// The name of the cluster of `--from-cluster`.
        from: String,
        /// The name of the cluster of `--to-cluster`.
        to: String,
        /// How this is known, if the names differ.
        why: String,
    },
    /// The old cluster has no bindings.
    #[error(
        "cluster {0} has no TargetGroupBinding, so its target groups are not known; for a plan without bindings: \
         cutover init --load-balancer NAME --from GROUPS --to GROUPS"
    )]
    NoBindings(String),
    /// No binding of the old cluster has a target group that can move.
    #[error("no binding of cluster {cluster} can be in a plan:\n{}", why.join("\n"))]
    NothingMoves {
        /// The name of the old cluster.
        cluster: String,
        /// Why each binding is left out.
        why: Vec<String>,
    },
    /// The plan would exceed the limits of plan files.
    #[error(
        "the plan would have {workloads} workloads, which is too large: {why}; write plans of single load balancers"
    )]
    TooLarge {
        /// The number of workloads.
        workloads: usize,
        /// The limit that the plan exceeds.
        why: String,
    },
    /// The YAML could not be written.
    #[error("the plan cannot be written: {0}")]
    Yaml(String),
}

fn swapped_hint(swapped: bool) -> &'static str {
    if swapped { "; traffic goes to the groups of --to: are --from and --to swapped?" } else { "" }
}

fn quote_globs(globs: &[String]) -> String {
    globs.iter().map(|g| format!("'{g}'")).collect::<Vec<_>>().join(", ")
}

fn candidates_text(there: &[String]) -> String {
    if there.is_empty() {
        "; no target groups were found".to_owned()
    } else {
        format!("; target groups found: {}", there.join(", "))
    }
}

/// The old and the new target group of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPair {
    pub(super) workload: String,
    pub(super) from: TargetGroup,
    pub(super) to: TargetGroup,
    /// The number of routes in which `from` has traffic.
    pub(super) actions: usize,
}

/// Returns the labels of the routes in which each group has traffic, by the ARN of the group.
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

/// Converts a text to a valid name in a plan (a DNS-1123 label); returns `otherwise` if no valid character is left.
pub fn plan_name(text: &str, otherwise: &str) -> String {
    let lower: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let trimmed: String = lower.trim_matches('-').chars().take(63).collect();
    let trimmed = trimmed.trim_end_matches('-');
    if trimmed.is_empty() { otherwise.to_owned() } else { trimmed.to_owned() }
}
