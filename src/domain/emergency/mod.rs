//! A rollback without a journal: from target groups that a person names, or from tags. It needs the load balancer's
//! listeners and rules; everything else is used only if it can be read. The result is an ordinary run that begins with
//! its rollback. Do not make a rollback depend on anything else here.

pub mod balancer_tag;
pub mod from_names;
pub mod from_tags;
pub mod route_tag;
pub mod script;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::arn::short;
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::health::HealthCounts;
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::run::event::{GroupStart, RouteStart, Started};
use crate::domain::run::frozen_plan;
use crate::domain::traffic::{ClusterName, Split, Unreadable};
use crate::plan::model::Plan;

/// The cluster name, in a run without a plan, of the groups that get the traffic.
const BACK_TO: &str = "back-to";
/// The cluster name of the groups that lose it.
const AWAY_FROM: &str = "away-from";
/// The workload name of every route.
const WORKLOAD: &str = "rollback";
/// Seconds between two health checks if the group could not be read: the default of ELBv2.
const INTERVAL: u32 = 30;

/// A load balancer as just read. Only the listeners and their routes are guaranteed to be present.
#[derive(Debug, Clone)]
pub struct LoadBalancerReading {
    /// When the reading began.
    pub at: Timestamp,
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// Its listeners with their routes and tags.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// Its groups, as far as AWS lists them. An action may forward to groups that are not listed.
    pub groups: Vec<TargetGroup>,
    /// Health of the targets, by the group's ARN.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    /// Everything else that could not be read, and why: one line each.
    pub skipped: Vec<String>,
}

impl LoadBalancerReading {
    /// Targets of every group by state, where they could be read.
    pub fn counts(&self) -> BTreeMap<String, HealthCounts> {
        let read = self.health.iter().filter_map(|(arn, h)| Some((arn, h.as_ref().ok()?)));
        read.map(|(arn, targets)| (arn.clone(), Sample::of(self.at, targets).counts)).collect()
    }

    /// Its routes.
    pub fn routes(&self) -> impl Iterator<Item = &LiveRoute> {
        self.listeners.iter().flat_map(|(_, routes)| routes)
    }

    /// ARNs of every group, including those that only an action names, each with its name.
    pub fn names(&self) -> BTreeMap<&str, &str> {
        let used = self.routes().flat_map(|route| route.content.split.ids()).map(String::as_str);
        used.chain(self.groups.iter().map(|g| g.arn.as_str())).map(|arn| (arn, short(arn))).collect()
    }
}

/// A rollback that is ready to begin.
#[derive(Debug, Clone)]
pub struct PreparedRollback {
    /// A generated plan, so that the run can be resumed like any other.
    pub plan: Plan,
    /// Every route: the content to restore, and the content as found.
    pub started: Started,
    /// Routes that use its groups but are left unchanged, each with the reason.
    pub unclear: Vec<String>,
}

/// Why the original state of the traffic cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyError {
    /// No pair of groups matches.
    #[error(
        "no two target groups match --back-to {back_to} and --away-from {away_from}: whatever a `*` matches must be \
         equal in both. The load balancer has: {there}"
    )]
    NoPair {
        /// Globs.
        back_to: String,
        /// Globs.
        away_from: String,
        /// Names of the groups.
        there: String,
    },
    /// A group would both get and lose the traffic.
    #[error("--back-to and --away-from both name {0}")]
    Both(String),
    /// No tag records where the traffic was.
    #[error("no tag on {0} records where the traffic was before a run")]
    NoTags(String),
    /// No route forwards to them.
    #[error("no route of the load balancer forwards to any of {0}")]
    NoRoute(String),
    /// Routes forward to them, but for none of them is the new destination clear: the first one, with the reason.
    #[error("{0}")]
    Unclear(String),
}

/// Returns the run whose rollback restores the `content` of these routes.
fn prepared_rollback(seen: &[LoadBalancerReading], routes: Vec<RouteStart>, unclear: Vec<String>) -> PreparedRollback {
    let started = Started {
        plan: "rollback".into(),
        text: String::new(),
        hash: crate::plan::hash(b""),
        owner: String::new(),
        from: BACK_TO.into(),
        to: AWAY_FROM.into(),
        from_step: 1,
        start: None,
        load_balancers: seen.iter().map(|s| s.load_balancer.arn.clone()).collect(),
        groups: group_starts(seen, &routes),
        routes,
        clusters: BTreeMap::new(),
        bindings: Vec::new(),
        other_routes: None,
    };
    PreparedRollback { plan: frozen_plan::plan(&started), started, unclear }
}

/// Returns a route whose rollback sets the split `goal`.
fn route_start(
    seen: &LoadBalancerReading,
    live: &LiveRoute,
    goal: &Split,
    groups: BTreeMap<ClusterName, String>,
) -> RouteStart {
    RouteStart {
        id: live.id.clone(),
        load_balancer: seen.load_balancer.arn.clone(),
        listener: live.listener.clone(),
        label: live.label(),
        conditions: live.conditions.clone(),
        workload: WORKLOAD.into(),
        groups,
        content: live.content.with_split(goal),
        content_at_start: Some(live.content.clone()),
        limits: LIMITS,
        owners: Vec::new(),
    }
}

/// Assigns a cluster name to each group of a route: one name if the group gets traffic, another if it loses it.
fn clusters(groups: &[(String, bool)]) -> BTreeMap<ClusterName, String> {
    let mut all = BTreeMap::new();
    for (arn, carries) in groups {
        let name = if *carries { BACK_TO } else { AWAY_FROM };
        let free = (1..=groups.len())
            .map(|n| if n == 1 { name.to_owned() } else { format!("{name}-{n}") })
            .find(|n| !all.contains_key(n));
        all.extend(free.map(|n| (n, arn.clone())));
    }
    all
}

fn group_starts(seen: &[LoadBalancerReading], routes: &[RouteStart]) -> BTreeMap<String, GroupStart> {
    let mut all = BTreeMap::new();
    for (cluster, arn) in routes.iter().flat_map(|r| &r.groups) {
        let health = seen.iter().find_map(|s| s.health.get(arn)).and_then(|h| h.as_ref().ok());
        let group = seen.iter().find_map(|s| s.groups.iter().find(|g| g.arn == *arn));
        all.entry(arn.clone()).or_insert_with(|| GroupStart {
            name: short(arn).to_owned(),
            cluster: cluster.clone(),
            workload: WORKLOAD.into(),
            healthy: health.map_or(0, |t| Sample::of(Timestamp::UNIX_EPOCH, t).counts.healthy),
            interval: group.map_or(INTERVAL, |g| g.health_check.interval_seconds),
            cross_zone: true,
            zones: Vec::new(),
            deregistration_delay: 300,
        });
    }
    all
}
