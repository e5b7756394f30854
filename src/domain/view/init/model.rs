//! What is asked for, what is there, and what is in the way.

use std::collections::BTreeMap;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterAccess, Selector, ServiceRef};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The load balancer.
    pub load_balancer: Selector,
    /// Globs of the groups that carry the traffic now.
    pub from: Vec<String>,
    /// Globs of the groups that are to carry it.
    pub to: Vec<String>,
    /// How to reach the cluster behind `from`.
    pub from_cluster: ClusterAccess,
    /// How to reach the cluster behind `to`.
    pub to_cluster: ClusterAccess,
    /// The Service in both clusters, where one workload is moved; `None`: what bindings tell.
    pub service: Option<ServiceRef>,
    /// The plan's name; `None`: the load balancer's.
    pub name: Option<String>,
}

/// What is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// Its listeners with their routes.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// Its target groups, and those of the account that are attached nowhere.
    pub groups: Vec<TargetGroup>,
    /// Bindings of the cluster behind `from`; empty where it is not reached.
    pub from_bindings: Vec<Binding>,
    /// Bindings of the cluster behind `to`.
    pub to_bindings: Vec<Binding>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InitError {
    /// Something could not be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: Unreadable,
    },
    /// The load balancer is not exactly one.
    #[error("`{selector}` names {} load balancers{}", found.len(), colon(found))]
    LoadBalancer {
        /// As asked for.
        selector: String,
        /// Names of those found.
        found: Vec<String>,
    },
    /// A glob matches nothing.
    #[error("no group matches {}{}", quoted(globs), has(there))]
    NoGroup {
        /// The globs.
        globs: Vec<String>,
        /// What the load balancer has.
        there: Vec<String>,
    },
    /// The groups that match do not pair up.
    #[error("{} pair with no group of {}: what the globs' stars stand for must be equal{}", from.join(", "), quoted(globs), has(there))]
    NoPair {
        /// The groups of `from`.
        from: Vec<String>,
        /// The globs of `to`.
        globs: Vec<String>,
        /// What matches those.
        there: Vec<String>,
    },
    /// `from` carries nothing.
    #[error("{} carry nothing on {load_balancer}{}", from.join(", "), if *swapped { "; the other side does: are --from and --to swapped?" } else { "" })]
    CarriesNothing {
        /// The groups.
        from: Vec<String>,
        /// The load balancer's name.
        load_balancer: String,
        /// Whether `to` carries something.
        swapped: bool,
    },
    /// An action carries both sides already.
    #[error("traffic is split between both sides already on {}; put it back on one of them first", routes.join(", "))]
    Split {
        /// Their labels.
        routes: Vec<String>,
    },
    /// An action forwards to the groups of two pairs.
    #[error("{route} forwards to {}: an action can belong to one workload only; give narrower globs", groups.join(" and "))]
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

fn quoted(globs: &[String]) -> String {
    globs.iter().map(|g| format!("'{g}'")).collect::<Vec<_>>().join(", ")
}

fn has(there: &[String]) -> String {
    if there.is_empty() { "; there are none".to_owned() } else { format!("; there are: {}", there.join(", ")) }
}

fn colon(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!(": {}", found.join(", ")) }
}

/// Two groups that stand for one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub(super) workload: String,
    pub(super) from: TargetGroup,
    pub(super) to: TargetGroup,
    /// Actions in which `from` carries weight.
    pub(super) actions: usize,
}

/// Labels of the routes by the groups that carry weight in them.
pub fn carrying(seen: &Seen) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for route in routes(seen) {
        let split = &route.content.split;
        for id in split.ids().filter(|id| split.carries(id)) {
            all.entry(id).or_default().push(route.label());
        }
    }
    all
}

pub fn routes(seen: &Seen) -> impl Iterator<Item = &LiveRoute> {
    seen.listeners.iter().flat_map(|(_, routes)| routes)
}

/// A name that a plan accepts (a DNS-1123 label), or `otherwise`.
pub fn label(text: &str, otherwise: &str) -> String {
    let lower: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let trimmed: String = lower.trim_matches('-').chars().take(63).collect();
    let trimmed = trimmed.trim_end_matches('-');
    if trimmed.is_empty() { otherwise.to_owned() } else { trimmed.to_owned() }
}
