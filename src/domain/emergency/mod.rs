//! Prepares a rollback without a journal, from names of target groups or from tags. The rollback requires the listeners
//! and rules of the load balancer; all other resources are used only if they can be read. The result is an ordinary run
//! that starts with a rollback. Do not make a rollback depend on other resources.

pub mod balancer_tag;
pub mod contradiction;
pub mod evacuation;
pub mod from_names;
pub mod from_tags;
pub mod header_rules;
mod other_type;
pub mod route_tag;
pub mod script;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::arn::short;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::other_type::is_network;
use crate::domain::health::HealthCounts;
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::run::event::{GroupStart, RouteStart, Started};
use crate::domain::run::frozen_plan;
use crate::domain::traffic::{ClusterName, Split, Unreadable};
use crate::plan::model::Plan;

/// The key of the marker tag, which names the run that owns a load balancer.
pub const MARKER_KEY: &str = "cutover.dev/run";

/// The cause of a rollback to the groups that the command line names.
pub const NAMED_GROUPS: &str = "rollback to named groups";

/// In a run without a plan, the cluster name of the groups that get the traffic.
const BACK_TO: &str = "back-to";
/// In a run without a plan, the cluster name of the groups that lose the traffic.
const AWAY_FROM: &str = "away-from";
/// In a run without a plan, the workload name of every route.
const WORKLOAD: &str = "rollback";
/// The interval of health checks, in seconds, if the group could not be read. This is the default of ELBv2.
const DEFAULT_CHECK_INTERVAL: u32 = 30;

/// The result of reading a load balancer. Only the listeners and their routes are always present.
#[derive(Debug, Clone)]
pub struct LoadBalancerReading {
    /// The time at which the reading began.
    pub at: Timestamp,
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// The listeners with their routes and tags.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// The target groups that AWS lists for the load balancer. An action may forward to other groups.
    pub groups: Vec<TargetGroup>,
    /// The health of the targets, by the ARN of the group.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    /// The other resources that could not be read, one line each, with the reason.
    pub skipped: Vec<String>,
}

impl LoadBalancerReading {
    /// Returns the fixture's load balancer with these listeners; nothing else of it was read.
    #[cfg(test)]
    fn of(listeners: Vec<(Listener, Vec<LiveRoute>)>) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            load_balancer: crate::domain::fixture::load_balancer(),
            listeners,
            groups: Vec::new(),
            health: BTreeMap::new(),
            skipped: Vec::new(),
        }
    }

    /// Returns the number of targets by state, for every group whose health could be read.
    pub fn counts(&self) -> BTreeMap<String, HealthCounts> {
        let read = self.health.iter().filter_map(|(arn, h)| Some((arn, h.as_ref().ok()?)));
        read.map(|(arn, targets)| (arn.clone(), Sample::of(self.at, targets).counts)).collect()
    }

    /// Returns the routes of all listeners.
    pub fn routes(&self) -> impl Iterator<Item = &LiveRoute> {
        self.listeners.iter().flat_map(|(_, routes)| routes)
    }

    /// Returns the name of every group by ARN, including groups that only an action names.
    pub fn names(&self) -> BTreeMap<&str, &str> {
        let used = self.routes().flat_map(|route| route.content.split.ids()).map(String::as_str);
        used.chain(self.groups.iter().map(|g| g.arn.as_str())).map(|arn| (arn, short(arn))).collect()
    }
}

/// A rollback that is ready to start.
#[derive(Debug, Clone)]
pub struct PreparedRollback {
    /// A generated plan, so that the run can be resumed like any other run.
    pub plan: Plan,
    /// The start of the run: every route with the content to restore and the content as found.
    pub started: Started,
    /// Routes that use the groups of the rollback but are not changed, each with the reason.
    pub unclear: Vec<String>,
}

/// Why the original state of the traffic cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyError {
    /// No pair of groups matches the names.
    #[error(
        "no two target groups match --back-to {back_to} and --away-from {away_from}: {why}. The load balancer has: {there}"
    )]
    NoPair {
        /// The globs of `--back-to`.
        back_to: String,
        /// The globs of `--away-from`.
        away_from: String,
        /// Which part matches no name, or why the names form no pair.
        why: String,
        /// The names of the load balancer's groups.
        there: String,
    },
    /// With these names, a group would both get and lose traffic.
    #[error("--back-to and --away-from both name {0}")]
    Both(String),
    /// No tag records the original weights.
    #[error("{0} has no tag with the weights that were set before a run")]
    NoTags(String),
    /// No route forwards to the named groups.
    #[error("no route of the load balancer forwards to any of {0}")]
    NoRoute(String),
    /// Routes forward to the named groups, but the new destination is not clear for any route: the first route, with
    /// the reason.
    #[error("{0}")]
    Unclear(String),
    /// cutover does not move the traffic of a load balancer of this type.
    #[error("{refusal}")]
    OtherType {
        /// The sentence with the name and the type.
        refusal: String,
        /// The alternatives for an operator, one line each.
        instead: Vec<String>,
    },
}

/// Builds a run whose rollback restores the `content` of these routes.
fn prepared_rollback(seen: &[LoadBalancerReading], routes: Vec<RouteStart>, unclear: Vec<String>) -> PreparedRollback {
    let started = Started {
        plan: "rollback".into(),
        text: String::new(),
        hash: crate::plan::hash(b""),
        folder: None,
        owner: String::new(),
        from: BACK_TO.into(),
        to: AWAY_FROM.into(),
        from_step: 1,
        start: None,
        load_balancers: seen.iter().map(|s| s.load_balancer.arn.clone()).collect(),
        groups: group_starts(seen, &routes),
        header_rules: header_rules::of_routes(
            seen.iter().flat_map(|s| s.routes().map(|live| (s.load_balancer.arn.as_str(), live))),
            &routes,
        ),
        routes,
        clusters: BTreeMap::new(),
        bindings: Vec::new(),
        items: Vec::new(),
        other_routes: None,
        not_moved: Vec::new(),
        wave: None,
        keeps_weights: false,
    };
    PreparedRollback { plan: frozen_plan::plan(&started), started, unclear }
}

/// Builds a route whose rollback sets `split`.
fn route_start(
    seen: &LoadBalancerReading,
    live: &LiveRoute,
    split: &Split,
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
        content: live.content.with_split(split),
        content_at_start: Some(live.content.clone()),
        settle: None,
        keeps_connections: is_network(&seen.load_balancer),
        reasserts: false,
        limits: live.limits,
        owners: Vec::new(),
    }
}

/// Assigns a cluster name to each group of a route: one name for groups that get traffic, another for groups that lose
/// traffic.
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
            interval: group.map_or(DEFAULT_CHECK_INTERVAL, |g| g.health_check.interval_seconds),
            cross_zone: true,
            zones: Vec::new(),
            deregistration_delay: 300,
        });
    }
    all
}
