//! The start of a run: everything that a rollback needs. No decisions; fields are only added, with a default.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::{ClusterName, ExternalOwner, Limits, RouteContent, RouteId, Shares, Split};

/// The payload of [`Event::Started`](super::Event::Started).
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
    /// The old cluster: it carries the traffic at the start.
    pub from: ClusterName,
    /// The new cluster.
    pub to: ClusterName,
    /// The first step to execute (`--from-step`), from 1.
    pub from_step: usize,
    /// The shares that a rollback restores; `None`: the original shares of each route.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Shares>,
    /// ARNs of the load balancers.
    pub load_balancers: Vec<String>,
    /// Every route of the run, with its content as read.
    pub routes: Vec<RouteStart>,
    /// Routes of the same load balancers that the run does not manage; `None` in journals of versions that did not
    /// record them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub other_routes: Option<BTreeSet<RouteId>>,
    /// Every target group of the plan, by ARN.
    pub groups: BTreeMap<String, GroupStart>,
    /// UID of the `kube-system` namespace, by cluster.
    pub clusters: BTreeMap<ClusterName, String>,
    /// The bindings that `bind` creates or verifies.
    pub bindings: Vec<BindingStart>,
}

/// A target group binding that `bind` creates or verifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingStart {
    /// The cluster of the binding.
    pub cluster: ClusterName,
    /// The workload.
    pub workload: String,
    /// `true`: create it if it does not exist. `false`: only verify it.
    pub create: bool,
    /// The expected binding.
    pub binding: Binding,
}

/// A route at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStart {
    /// Its id.
    pub id: RouteId,
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// The vendor's id of its listener; empty in journals of versions that did not record it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub listener: String,
    /// Listener port and rule priority, such as `443 rule 15`.
    pub label: String,
    /// Its conditions as text.
    #[serde(default)]
    pub conditions: String,
    /// Its workload.
    pub workload: String,
    /// ARN of the managed target group, by cluster.
    pub groups: BTreeMap<ClusterName, String>,
    /// The original content: a rollback restores this.
    pub content: RouteContent,
    /// The content that AWS had when the run began, where it differs from `content`: a rollback that knows the original
    /// content from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_at_start: Option<RouteContent>,
    /// The limits of its load balancer.
    pub limits: Limits,
    /// Other owners (controllers, infrastructure as code) that its tags or those of its load balancer name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub owners: Vec<ExternalOwner>,
}

/// A target group at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStart {
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its workload.
    pub workload: String,
    /// Number of healthy targets: the baseline.
    pub healthy: u32,
    /// Seconds between its health checks.
    pub interval: u32,
    /// Whether cross-zone load balancing is on.
    pub cross_zone: bool,
    /// Names of the zones that its load balancer has enabled; empty in journals of versions that did not record them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// Deregistration delay, in seconds.
    pub deregistration_delay: u32,
}

impl RouteStart {
    /// This rule as a route of the run in the place of a deleted one: a rollback restores the original shares of that
    /// route. If the two forward to different members outside the plan, the rule keeps what it has.
    #[must_use]
    pub fn replacing(self, deleted: &Self) -> Self {
        let managed = |id: &String| deleted.groups.values().any(|group| group == id);
        let others = |split: &Split| -> BTreeMap<String, Option<u16>> {
            split.ids().filter(|id| !managed(id)).map(|id| (id.clone(), split.weight(id))).collect()
        };
        if others(&self.content.split) != others(&deleted.content.split) {
            return self;
        }
        let content = self.content.with_split(&deleted.content.split);
        Self { content, content_at_start: Some(self.content), ..self }
    }
}
