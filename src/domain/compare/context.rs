//! The input of the rules of the comparison. Do not add rules.

use super::facts::ClusterFacts;
use super::pair::{Pairs, PodIndex};

/// The facts that the rules compare.
pub struct Context<'a> {
    /// The cluster that loses traffic.
    pub from: &'a ClusterFacts,
    /// The cluster that gets traffic.
    pub to: &'a ClusterFacts,
    /// The objects of the plan's workloads.
    pub pairs: Pairs<'a>,
    /// The pods of the cluster that loses traffic.
    pub from_pods: PodIndex<'a>,
    /// The pods of the cluster that gets traffic.
    pub to_pods: PodIndex<'a>,
    /// The option ` --context …` with which kubectl reaches the new cluster; empty if it is not known.
    pub kubectl_option: String,
}
