//! Represents the input of `cutover init` for a whole cluster.

use super::super::model::InitFacts;
use crate::domain::compare::facts::ClusterFacts;
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::Unreadable;
use crate::plan::model::ClusterAccess;

/// The options of `cutover init` for a whole cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterInitRequest {
    /// The access to the old cluster.
    pub from_cluster: ClusterAccess,
    /// The access to the new cluster.
    pub to_cluster: ClusterAccess,
    /// The globs for the old groups, for pairs by name; empty: the names of the clusters are used.
    pub from: Vec<String>,
    /// The globs for the new groups, for pairs by name; empty: the names of the clusters are used.
    pub to: Vec<String>,
    /// The name of the plan; `None` means the names of the clusters.
    pub name: Option<String>,
}

/// The facts that `cutover init` read for a whole cluster.
#[derive(Debug, Clone)]
pub struct ClusterInitFacts {
    /// Whether both accesses reach one cluster.
    pub is_one_cluster: bool,
    /// The bindings of the old cluster.
    pub from_bindings: Vec<Binding>,
    /// The bindings of the new cluster.
    pub to_bindings: Vec<Binding>,
    /// All target groups of the account and region, with tags.
    pub groups: Vec<TargetGroup>,
    /// The load balancers of the bound groups with their listeners. Their fields `groups` and bindings are empty.
    pub balancers: Vec<InitFacts>,
    /// The ARNs of the load balancers that could not be read.
    pub unread: Vec<(String, Unreadable)>,
    /// The objects of the old cluster.
    pub from_objects: ClusterFacts,
    /// The objects of the new cluster.
    pub to_objects: ClusterFacts,
}
