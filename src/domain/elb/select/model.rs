//! Represents the input and the result of a selection.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::base::arn::name as short_name;
use crate::base::finding::Finding;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::kinds;
use crate::domain::traffic::{RouteId, Unreadable};
use crate::plan::model::{BalancerKind, ClusterName, Selector};

/// The live resources that the plan's selectors match. A failed read is recorded as [`Unreadable`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveResources {
    /// The load balancers that each selector of the plan matches.
    pub load_balancers: BTreeMap<Selector, Result<Vec<LoadBalancer>, Unreadable>>,
    /// The listeners with their routes, by the ARN of the load balancer.
    pub listeners: BTreeMap<String, Listeners>,
    /// The target groups that each selector of the plan matches.
    pub groups: BTreeMap<Selector, Result<Vec<TargetGroup>, Unreadable>>,
    /// The names that exist where a selector by name matches nothing.
    pub existing: ExistingNames,
}

/// The names of load balancers and target groups in the account and region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExistingNames {
    /// The names of the load balancers.
    pub load_balancers: Vec<String>,
    /// The names of the target groups.
    pub groups: Vec<String>,
}

/// The listeners of a load balancer, each with its routes: first the default action, then the rules.
pub type Listeners = Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;

/// The routes that a plan manages, and the routes that the plan skips.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The routes to manage, in the plan's order of entries and the load balancer's order of rules.
    pub routes: Vec<SelectedRoute>,
    /// All other routes of the plan's load balancers.
    pub skipped: Vec<SkippedRoute>,
    /// The plan's route entries whose selectors could be resolved, in the plan's order.
    pub entries: Vec<SelectedEntry>,
    /// The plan's load balancers by ARN.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// The plan's target groups by ARN.
    pub groups: BTreeMap<String, SelectedGroup>,
    /// The problems that were found.
    pub findings: Vec<Finding>,
}

impl Selection {
    /// Returns the name of a group of the plan; for other groups, the name in the ARN.
    pub fn group_name<'a>(&'a self, arn: &'a str) -> &'a str {
        self.groups.get(arn).map_or_else(|| short_name(arn), |g| &g.group.name)
    }
}

/// A route that the plan manages.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedRoute {
    /// The route as read from AWS.
    pub route: LiveRoute,
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// The name of the workload that the route belongs to.
    pub workload: String,
    /// The managed groups: ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
    /// The settle time of the plan's entry; `None` means that of the plan.
    pub settle: Option<Duration>,
    /// Whether the run writes the shares again by itself after a restart that forgot them.
    pub reasserts: bool,
}

impl SelectedRoute {
    /// Returns the managed groups as (cluster, ARN), in the order of the clusters' names.
    pub fn managed(&self) -> Vec<(ClusterName, String)> {
        self.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect()
    }
}

/// An entry of a workload's `routes` with resolved selectors.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedEntry {
    /// The name of the workload.
    pub workload: String,
    /// The kind of the load balancer that the plan expects.
    pub kind: BalancerKind,
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// The target groups: ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
}

/// A target group of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedGroup {
    /// The target group as read from AWS.
    pub group: TargetGroup,
    /// The name of the cluster that the group belongs to.
    pub cluster: ClusterName,
    /// The name of the workload.
    pub workload: String,
    /// The ARN of the load balancer of the plan's entry.
    pub load_balancer: String,
}

/// A route that the plan skips.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedRoute {
    /// The load balancer's name.
    pub load_balancer: String,
    /// The route's id; in JSON its ARN.
    #[serde(serialize_with = "arn")]
    pub id: RouteId,
    /// The route's label, such as `443 rule 15`.
    pub route: String,
    /// The route's conditions as text.
    pub conditions: String,
    /// Why the route is skipped.
    pub reason: SkipReason,
}

fn arn<S: Serializer>(id: &RouteId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Why a route is skipped. If several entries of the plan give different reasons, the reason that is declared last here
/// is used, because the first two reasons only say that an entry is not about the route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SkipReason {
    /// The listener of the route is not in the plan.
    Listener {
        /// The port of the listener.
        port: u16,
    },
    /// The plan lists `rules`, and this route is not in the list.
    NotListed,
    /// The routing action of the route redirects.
    Redirects,
    /// The routing action of the route returns a fixed response.
    Responds,
    /// The route has no forward action, and no other routing action that this tool knows.
    NoForward,
    /// The route forwards only to groups that the plan does not name.
    OtherGroups {
        /// The names of the groups that the route forwards to.
        groups: Vec<String>,
    },
    /// Only groups of clusters that have no share at the start of the plan have weight on this route.
    Elsewhere {
        /// The names of the groups that have weight on the route.
        groups: Vec<String>,
    },
    /// The plan's groups have weight 0, and other groups have the traffic.
    AtZero {
        /// The names of the groups that have the traffic.
        groups: Vec<String>,
    },
    /// The route is refused, and a finding gives the reason.
    Refused,
    /// The route has an element that this build does not know, so it cannot be written.
    UnknownElement {
        /// The unknown element, with its place in the action.
        element: String,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirects => f.write_str("redirects"),
            Self::Responds => f.write_str("answers with a fixed response"),
            Self::NoForward => f.write_str("has no forward action"),
            Self::OtherGroups { groups } => write!(f, "forwards to other groups only: {}", groups.join(", ")),
            Self::Listener { port } => write!(f, "listener {port} is not in the plan"),
            Self::NotListed => f.write_str("is not in the plan's `rules`"),
            Self::Elsewhere { groups } => write!(f, "already sends its traffic to {}", groups.join(", ")),
            Self::AtZero { groups } => {
                write!(f, "has {} at weight 0; other groups carry its traffic", groups.join(", "))
            }
            Self::Refused => f.write_str("is refused; see the findings"),
            Self::UnknownElement { element } => write!(f, "cannot be written: {element}"),
        }
    }
}

pub fn without_forward(route: &LiveRoute) -> SkipReason {
    match kinds(&route.content).last() {
        Some(&"redirect") => SkipReason::Redirects,
        Some(&"fixed-response") => SkipReason::Responds,
        _ => SkipReason::NoForward,
    }
}

/// Formats a selector as in a plan.
pub fn selector_text(selector: &Selector) -> String {
    match selector {
        Selector::Name(text) | Selector::Arn(text) => text.clone(),
        Selector::Tags(tags) => {
            format!("tag:{}", tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","))
        }
    }
}
