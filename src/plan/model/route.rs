//! Represents the routes of a workload: which listeners and rules of which load balancer, or which backends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ClusterName;
use crate::base::arn;
use crate::base::haproxy::is_haproxy;

/// An entry of `routes`: a load balancer, and one target group per cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteEntry {
    /// The kind of the load balancer.
    pub kind: BalancerKind,
    /// Selects the load balancer.
    pub load_balancer: Selector,
    /// Selects the listeners; empty: all listeners.
    pub listeners: Vec<ListenerRef>,
    /// One target group per cluster of the plan, in the plan's order of clusters.
    pub target_groups: Vec<(ClusterName, Selector)>,
    /// Selects the rules; `None` means all default actions and rules in which groups with a share at the start have
    /// weight.
    pub rules: Option<Vec<RuleRef>>,
    /// The required number of selected routes.
    pub expect: Option<usize>,
    /// The settle time of these routes; `None` means [`Strategy::settle`](super::Strategy::settle).
    pub settle: Option<Duration>,
    /// Whether the run writes the shares again by itself after a reload that forgot them.
    pub reasserts: bool,
}

/// The kind of a load balancer: the key of an entry of `routes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BalancerKind {
    /// An AWS Application Load Balancer.
    Alb,
    /// An AWS Network Load Balancer.
    Nlb,
    /// A backend on one instance of HAProxy.
    Haproxy,
}

impl BalancerKind {
    /// Returns the key in the plan file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Alb => "alb",
            Self::Nlb => "nlb",
            Self::Haproxy => "haproxy",
        }
    }

    /// Returns the kind that the id of a load balancer names; an Application Load Balancer if the id names none.
    pub fn of_arn(id: &str) -> Self {
        match arn::resource(id) {
            _ if is_haproxy(id) => Self::Haproxy,
            resource if resource.starts_with("loadbalancer/net/") => Self::Nlb,
            _ => Self::Alb,
        }
    }
}

impl RouteEntry {
    /// Returns an entry that selects a load balancer by its ARN, with all routes that carry the groups.
    pub fn of_arns(load_balancer: &str, target_groups: Vec<(ClusterName, Selector)>) -> Self {
        Self {
            kind: BalancerKind::of_arn(load_balancer),
            load_balancer: Selector::Arn(load_balancer.to_owned()),
            listeners: Vec::new(),
            target_groups,
            rules: None,
            expect: None,
            settle: None,
            reasserts: false,
        }
    }
}

/// Selects a load balancer or target group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// The name of the resource.
    Name(String),
    /// The ARN of the resource, or the id of a backend or a set of servers on HAProxy.
    Arn(String),
    /// By tags (`tag:KEY=VALUE,…`): exactly one resource must have all of these tags.
    Tags(BTreeMap<String, String>),
}

/// Selects a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerRef {
    /// The port of the listener.
    Port(u16),
    /// The ARN of the listener.
    Arn(String),
}

/// Selects a rule or a default action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleRef {
    /// A listener's default action.
    Default,
    /// The priority of the rule, 1–50000.
    Priority(u32),
    /// The ARN of the rule, or of the listener whose default action is meant.
    Arn(String),
}
