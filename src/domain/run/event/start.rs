//! What a run remembers of its start: all that it needs to put things back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::{ClusterName, Content, Limits, Owner, RouteId, Shares};

/// See [`Event::Started`](super::Event::Started).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The plan's name.
    pub plan: String,
    /// The plan's text, frozen.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub hash: String,
    /// `alice@mac`.
    pub owner: String,
    /// The cluster that carries the traffic at the start.
    pub from: ClusterName,
    /// The cluster that is to carry it.
    pub to: ClusterName,
    /// The first step to do (`--from-step`), from 1.
    pub from_step: usize,
    /// The shares at the start, which a rollback returns to; `None`: what each route had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Shares>,
    /// ARNs of the load balancers.
    pub load_balancers: Vec<String>,
    /// Every route, with its content as read.
    pub routes: Vec<RouteStart>,
    /// Routes that were there and are not the run's; `None` in journals that did not keep them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub others: Option<BTreeSet<RouteId>>,
    /// Every target group of the plan, by ARN.
    pub groups: BTreeMap<String, GroupStart>,
    /// UIDs of the clusters' `kube-system`, by cluster.
    pub clusters: BTreeMap<ClusterName, String>,
    /// The bindings that `bind` makes or verifies.
    pub bindings: Vec<BindingStart>,
}

/// A binding that `bind` deals with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingStart {
    /// In which cluster.
    pub cluster: ClusterName,
    /// The workload.
    pub workload: String,
    /// Whether it is made where it does not exist, or only compared.
    pub create: bool,
    /// What must be there.
    pub binding: Binding,
}

/// A route at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStart {
    /// Which.
    pub id: RouteId,
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// `443 rule 15`.
    pub label: String,
    /// Its conditions in words.
    #[serde(default)]
    pub conditions: String,
    /// The workload that it belongs to.
    pub workload: String,
    /// The managed groups: ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
    /// What it did, as read: what a rollback returns to.
    pub content: Content,
    /// What was there when the run began, where that is something else: a rollback that knows the original content from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found: Option<Content>,
    /// What its balancer takes.
    pub limits: Limits,
    /// Who else writes to it, as far as its tags and its load balancer's tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub owners: Vec<Owner>,
}

/// A target group at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStart {
    /// Name.
    pub name: String,
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// Workload.
    pub workload: String,
    /// Healthy targets: the baseline.
    pub healthy: u32,
    /// Seconds between its health checks.
    pub interval: u32,
    /// Whether cross-zone balancing is on for it.
    pub cross_zone: bool,
    /// Names of the zones that its load balancer has enabled; empty in journals that did not keep them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// Seconds of its deregistration delay.
    pub deregistration_delay: u32,
}
