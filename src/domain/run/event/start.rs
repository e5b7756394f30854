//! Represents the start of a run: everything that a rollback needs. Fields are only added, with a default. Do not add
//! decisions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::hand_over::ItemStart;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::run::header_rule::LiveHeaderRule;
use crate::domain::traffic::{ClusterName, ExternalOwner, Limits, RouteContent, RouteId, Shares, Split};

/// The name of the plan of an evacuation, which has no text.
pub const EVACUATION_PLAN: &str = "evacuate";

/// The payload of [`Event::Started`](super::Event::Started).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The plan's name.
    pub plan: String,
    /// The plan's text at the start of the run.
    pub text: String,
    /// The SHA-256 of the text, in hexadecimal digits.
    pub hash: String,
    /// The folder of the plan file, on the machine of the owner: the commands of the plan run there; `None` if the plan
    /// has no commands, or did not come from a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub folder: Option<String>,
    /// The owner that started the run, such as `alice@mac`.
    pub owner: String,
    /// The old cluster, which has the traffic at the start.
    pub from: ClusterName,
    /// The new cluster, which has the traffic at the end.
    pub to: ClusterName,
    /// The wave of the plan that the run moves; `None` if the plan has no waves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wave: Option<WaveStart>,
    /// The first step to execute (`--from-step`), from 1.
    pub from_step: usize,
    /// The shares that a rollback restores; `None` means the original shares of each route.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Shares>,
    /// The ARNs of the load balancers.
    pub load_balancers: Vec<String>,
    /// Every route of the run, with its content as read.
    pub routes: Vec<RouteStart>,
    /// The routes that the run does not manage, on the load balancers that it uses; `None` in journals of versions that
    /// did not record these routes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub other_routes: Option<BTreeSet<RouteId>>,
    /// The routes that the plan selects and that this build cannot represent. The plan accepts that the run does not
    /// move them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_moved: Vec<NotMoved>,
    /// Whether the tags with the original weights of another run are kept at the end of this run. They are still needed
    /// if this run is a rollback to named groups that contradicts these weights.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keeps_weights: bool,
    /// The header rules that exist at the start, and that a rollback removes. Only a rollback that was started without a
    /// journal has some.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub header_rules: Vec<LiveHeaderRule>,
    /// Every target group of the plan, by ARN.
    pub groups: BTreeMap<String, GroupStart>,
    /// The UID of the `kube-system` namespace, by cluster.
    pub clusters: BTreeMap<ClusterName, String>,
    /// The bindings that `bind` creates or verifies.
    pub bindings: Vec<BindingStart>,
    /// The items that the `handOver` steps move, in the order of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub items: Vec<ItemStart>,
}

impl Started {
    /// Sets the migration to which the run of a wave belongs. The first run of a migration gives it its id.
    pub fn join_migration(&mut self, migration: &str) {
        self.wave.iter_mut().for_each(|wave| migration.clone_into(&mut wave.migration));
    }

    /// Whether the run is a rollback that was started without a journal, or an evacuation, and so without a plan.
    pub fn has_no_plan(&self) -> bool {
        self.text.is_empty() && (self.plan == "rollback" || self.is_evacuation())
    }

    /// Whether the run moves the traffic of a cluster to the other clusters. `content` of a route is then the content
    /// without the cluster, and `content_at_start` the content before.
    pub fn is_evacuation(&self) -> bool {
        self.text.is_empty() && self.plan == EVACUATION_PLAN
    }
}

/// The wave that a run moves. [`Started::from`] and [`Started::to`] are its direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveStart {
    /// The migration to which the run belongs: the id of its first run.
    pub migration: String,
    /// The name of the wave.
    pub name: String,
    /// The names of the workloads of the wave.
    pub workloads: Vec<String>,
}

/// A route that the run does not move, although the plan selects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotMoved {
    /// The listener port and rule priority, such as `443 rule 15`.
    pub label: String,
    /// Why the run does not move the route.
    pub reason: String,
}

/// A target group binding that `bind` creates or verifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingStart {
    /// The cluster of the binding.
    pub cluster: ClusterName,
    /// The workload of the binding.
    pub workload: String,
    /// Whether to create the binding if it does not exist. With `false`, the binding is only verified.
    pub create: bool,
    /// The expected binding.
    pub binding: Binding,
}

/// A route at the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStart {
    /// The id of the route.
    pub id: RouteId,
    /// The ARN of the load balancer.
    pub load_balancer: String,
    /// The ARN of the listener; empty in journals of versions that did not record listeners.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub listener: String,
    /// The listener port and rule priority, such as `443 rule 15`.
    pub label: String,
    /// The conditions of the rule as text; empty for a default action.
    #[serde(default)]
    pub conditions: String,
    /// The workload that the route belongs to.
    pub workload: String,
    /// The ARN of the managed target group, by cluster.
    pub groups: BTreeMap<ClusterName, String>,
    /// The original content, which a rollback restores.
    pub content: RouteContent,
    /// The content that AWS had when the run started, if it differs from `content`. This is the case for a rollback
    /// that gets the original content from tags or names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_at_start: Option<RouteContent>,
    /// The seconds from a write until the traffic follows the weights; `None` means the settle time of the plan.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settle: Option<u64>,
    /// Whether only new connections follow the weights: existing connections stay with their target until they close.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keeps_connections: bool,
    /// Whether the run writes the shares again by itself after a restart of the load balancer that forgot them.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub reasserts: bool,
    /// The limits of the load balancer.
    pub limits: Limits,
    /// The other owners (controllers, infrastructure as code) that the tags of the route or of the load balancer name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub owners: Vec<ExternalOwner>,
}

/// A target group at the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStart {
    /// The name of the group.
    pub name: String,
    /// The cluster that the group belongs to.
    pub cluster: ClusterName,
    /// The workload that the group belongs to.
    pub workload: String,
    /// The baseline: the number of healthy targets at the start.
    pub healthy: u32,
    /// The seconds between two health checks.
    pub interval: u32,
    /// Whether cross-zone load balancing is on.
    pub cross_zone: bool,
    /// The names of the zones that the load balancer has enabled; empty in journals of versions that did not record
    /// zones.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub zones: Vec<String>,
    /// The deregistration delay, in seconds.
    pub deregistration_delay: u32,
}

impl RouteStart {
    /// Returns this rule as a route of the run that replaces a deleted route. A rollback restores the original shares
    /// of the deleted route on this rule. If the two routes have different third-party groups, a rollback restores the
    /// current split of this rule instead.
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
