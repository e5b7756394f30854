//! What is live, and what a plan selects of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::finding::Finding;
use crate::domain::elb::arn::name as short_name;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::kinds;
use crate::domain::traffic::{RouteId, Unreadable};
use crate::plan::model::{ClusterName, Selector};

/// What is live, as far as the plan's selectors reach. What could not be read is kept as such.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveWorld {
    /// The load balancers that each selector of the plan matches.
    pub load_balancers: BTreeMap<Selector, Result<Vec<LoadBalancer>, Unreadable>>,
    /// Listeners with their routes, by the load balancer's ARN.
    pub listeners: BTreeMap<String, Listeners>,
    /// The target groups that each selector of the plan matches.
    pub groups: BTreeMap<Selector, Result<Vec<TargetGroup>, Unreadable>>,
}

/// The listeners of a load balancer, each with its default action first and then its rules.
pub type Listeners = Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;

/// What a plan moves, and what it leaves alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The routes to manage, in the plan's order of entries and the load balancer's order of rules.
    pub routes: Vec<SelectedRoute>,
    /// Every other action of those load balancers.
    pub skipped: Vec<Skipped>,
    /// The plan's route entries that resolved, in the plan's order.
    pub entries: Vec<SelectedEntry>,
    /// The plan's load balancers by ARN.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// The plan's target groups by ARN.
    pub groups: BTreeMap<String, SelectedGroup>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Selection {
    /// A group's name, or its ARN where the plan does not name it.
    pub fn group_name<'a>(&'a self, arn: &'a str) -> &'a str {
        self.groups.get(arn).map_or_else(|| short_name(arn), |g| &g.group.name)
    }
}

/// A route to manage.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedRoute {
    /// As read.
    pub route: LiveRoute,
    /// ARN.
    pub load_balancer: String,
    /// The workload that it belongs to.
    pub workload: String,
    /// The managed groups: ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
}

impl SelectedRoute {
    /// The managed groups as (cluster, ARN), in the order of the clusters' names.
    pub fn managed(&self) -> Vec<(ClusterName, String)> {
        self.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect()
    }
}

/// One entry of a workload's `routes`, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedEntry {
    /// The workload.
    pub workload: String,
    /// ARN.
    pub load_balancer: String,
    /// ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
}

/// A target group of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedGroup {
    /// As read.
    pub group: TargetGroup,
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// The workload.
    pub workload: String,
    /// ARN of the load balancer of the plan's entry.
    pub load_balancer: String,
}

/// An action that the plan leaves alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The load balancer's name.
    pub load_balancer: String,
    /// Which; its ARN in JSON.
    #[serde(serialize_with = "arn")]
    pub id: RouteId,
    /// `443 rule 15`.
    pub route: String,
    /// Its conditions in words.
    pub conditions: String,
    /// Why.
    pub reason: Skip,
}

fn arn<S: Serializer>(id: &RouteId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Why an action is left alone; the later, the closer it came to being selected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Skip {
    /// Its routing action redirects.
    Redirects,
    /// Its routing action answers by itself.
    Responds,
    /// It does nothing that this tool knows.
    NoForward,
    /// It forwards to other groups only.
    OtherGroups {
        /// Their names.
        groups: Vec<String>,
    },
    /// Its listener is not in the plan.
    Listener {
        /// Its port.
        port: u16,
    },
    /// The plan lists its rules, and this is none of them.
    NotListed,
    /// Of the plan's groups, only such carry it that the plan does not start from.
    Elsewhere {
        /// Their names.
        groups: Vec<String>,
    },
    /// The plan's groups sit at weight 0 beside others.
    AtZero {
        /// Their names.
        groups: Vec<String>,
    },
    /// What is wrong with it is said in a finding.
    Refused,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirects => f.write_str("redirects"),
            Self::Responds => f.write_str("answers with a fixed response"),
            Self::NoForward => f.write_str("has no forward action"),
            Self::OtherGroups { groups } => write!(f, "forwards to other groups only: {}", groups.join(", ")),
            Self::Listener { port } => write!(f, "listener {port} is not in the plan"),
            Self::NotListed => f.write_str("is not in the plan's `rules`"),
            Self::Elsewhere { groups } => write!(f, "is on {} already", groups.join(", ")),
            Self::AtZero { groups } => {
                write!(
                    f,
                    "{} {} at weight 0 beside others",
                    groups.join(", "),
                    if groups.len() == 1 { "sits" } else { "sit" }
                )
            }
            Self::Refused => f.write_str("is refused, see the findings"),
        }
    }
}

pub fn without_forward(route: &LiveRoute) -> Skip {
    match kinds(&route.content).last() {
        Some(&"redirect") => Skip::Redirects,
        Some(&"fixed-response") => Skip::Responds,
        _ => Skip::NoForward,
    }
}

/// How a selector is written in a plan.
pub fn spelled(selector: &Selector) -> String {
    match selector {
        Selector::Name(text) | Selector::Arn(text) => text.clone(),
        Selector::Tags(tags) => {
            format!("tag:{}", tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","))
        }
    }
}
