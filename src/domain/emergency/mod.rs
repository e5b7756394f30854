//! A rollback from what is live: no journal, no plan, only names of groups. What results is an ordinary run that begins with its rollback.

pub mod kept;
pub mod script;
pub mod weights;
pub mod whole;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use wildmatch::WildMatch;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, Target, TargetGroup};
use crate::domain::health::Counts;
use crate::domain::health::gate::Sample;
use crate::domain::run::event::{GroupStart, RouteStart, Started};
use crate::domain::traffic::Unreadable;
use crate::plan::{self, model::Plan};

/// A load balancer as it was just read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When the reading began.
    pub at: Timestamp,
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// Its listeners with their routes, tags and all.
    pub listeners: Vec<(Listener, Vec<LiveRoute>)>,
    /// Its groups.
    pub groups: Vec<TargetGroup>,
    /// Their health.
    pub health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
}

impl Seen {
    /// Targets of every group by state, where they could be read.
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let read = self.health.iter().filter_map(|(arn, h)| Some((arn, h.as_ref().ok()?)));
        read.map(|(arn, targets)| (arn.clone(), Sample::of(self.at, targets).counts)).collect()
    }
}

/// What is asked for, and what is there.
pub struct Wanted<'a> {
    /// Globs of the groups that are to have the traffic.
    pub back_to: &'a [String],
    /// Globs of the groups that are to lose it.
    pub away_from: &'a [String],
    /// The load balancer.
    pub load_balancer: &'a LoadBalancer,
    /// Its listeners with their routes.
    pub listeners: &'a [(Listener, Vec<LiveRoute>)],
    /// Its groups.
    pub groups: &'a [TargetGroup],
    /// Their health.
    pub health: &'a BTreeMap<String, Result<Vec<Target>, Unreadable>>,
}

/// Why that cannot be rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyError {
    /// No pair of groups fits.
    #[error("no two groups fit --back-to {back_to} and --away-from {away_from}; what the stars stand for must be equal. The load balancer has: {there}")]
    NoPair {
        /// Globs.
        back_to: String,
        /// Globs.
        away_from: String,
        /// Names of the groups.
        there: String,
    },
    /// No tag says where the traffic was.
    #[error("no tag of {0} says where the traffic was before a run")]
    NoTags(String),
    /// No action forwards to them.
    #[error("no action of the load balancer forwards to any of {0}")]
    NoRoute(String),
    /// The plan made from it is not accepted; a name or an ARN is not what it should be.
    #[error("{0}")]
    Plan(String),
}

struct Pair<'a> {
    from: &'a TargetGroup,
    to: &'a TargetGroup,
}

/// The plan and the `started` of a run whose rollback puts each pair's traffic on its `from` group.
pub fn started(wanted: &Wanted<'_>) -> Result<(Plan, Started), EmergencyError> {
    let pairs = pairs(wanted)?;
    let plan = plan_of(wanted, &pairs)?;
    let routes: Vec<_> = wanted.listeners.iter().flat_map(|(_, routes)| routes).filter_map(|r| route(wanted, &pairs, r)).collect();
    if routes.is_empty() {
        return Err(EmergencyError::NoRoute(pairs.iter().map(|p| p.to.name.clone()).collect::<Vec<_>>().join(", ")));
    }
    let groups = pairs
        .iter()
        .flat_map(|p| [(p.from, "from", p), (p.to, "to", p)])
        .map(|(g, cluster, p)| (g.arn.clone(), group(wanted, g, cluster, p)));
    let started = Started {
        plan: plan.name.clone(),
        text: plan.text.clone(),
        hash: plan.hash.clone(),
        owner: String::new(),
        from: plan.strategy.from.clone(),
        to: plan.strategy.to.clone(),
        from_step: 1,
        start: Some([("from".into(), 100), ("to".into(), 0)].into()),
        load_balancers: vec![wanted.load_balancer.arn.clone()],
        others: None,
        routes,
        groups: groups.collect(),
        clusters: BTreeMap::new(),
        bindings: Vec::new(),
    };
    Ok((plan, started))
}

/// Groups whose names fit the globs and whose stars stand for the same.
fn pairs<'a>(wanted: &Wanted<'a>) -> Result<Vec<Pair<'a>>, EmergencyError> {
    let mut all = Vec::new();
    for (from_glob, to_glob) in wanted.back_to.iter().zip(wanted.away_from) {
        for to in wanted.groups {
            let Some(stem) = stem(to_glob, &to.name) else { continue };
            let partner = wanted.groups.iter().find(|g| g.arn != to.arn && self::stem(from_glob, &g.name) == Some(stem));
            all.extend(partner.map(|from| Pair { from, to }));
        }
    }
    if all.is_empty() {
        let there = wanted.groups.iter().map(|g| g.name.clone()).collect::<Vec<_>>().join(", ");
        return Err(EmergencyError::NoPair { back_to: wanted.back_to.join(","), away_from: wanted.away_from.join(","), there });
    }
    Ok(all)
}

/// What a glob's one star stands for in a name that fits; empty for a name without a star, or with several (they then pair with anything that fits).
fn stem<'n>(glob: &str, name: &'n str) -> Option<&'n str> {
    if !WildMatch::new(glob).matches(name) {
        return None;
    }
    match glob.split_once('*') {
        Some((head, tail)) if !tail.contains('*') => name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)),
        _ => Some(""),
    }
}

fn route(wanted: &Wanted<'_>, pairs: &[Pair<'_>], live: &LiveRoute) -> Option<RouteStart> {
    let forward = live.forward()?;
    let has = |g: &TargetGroup| forward.weight(&g.arn).is_some();
    // The pair that has weight here goes before one that is only attached.
    let weighs = |p: &&Pair<'_>| forward.weight(&p.to.arn).unwrap_or(0) > 0;
    let pair = pairs.iter().find(weighs).or_else(|| pairs.iter().find(|p| has(p.from) && has(p.to)))?;
    Some(RouteStart {
        id: live.id.clone(),
        load_balancer: wanted.load_balancer.arn.clone(),
        label: live.label(),
        conditions: live.conditions.clone(),
        workload: workload(pair),
        groups: [("from".into(), pair.from.arn.clone()), ("to".into(), pair.to.arn.clone())].into(),
        actions: live.actions.clone(),
        found: None,
        owners: Vec::new(),
    })
}

fn group(wanted: &Wanted<'_>, group: &TargetGroup, cluster: &str, pair: &Pair<'_>) -> GroupStart {
    let targets = wanted.health.get(&group.arn).and_then(|h| h.as_ref().ok());
    GroupStart {
        name: group.name.clone(),
        cluster: cluster.into(),
        workload: workload(pair),
        healthy: targets.map_or(0, |t| Sample::of(Timestamp::UNIX_EPOCH, t).counts.healthy),
        interval: group.health_check.interval_seconds,
        cross_zone: true,
        zones: wanted.load_balancer.zones.clone(),
        deregistration_delay: 300,
    }
}

/// A name that a plan accepts.
fn workload(pair: &Pair<'_>) -> String {
    let name: String = pair.to.name.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    name.trim_matches('-').to_owned()
}

/// The plan as a file would say it, so that the run can be resumed like any other.
fn plan_of(wanted: &Wanted<'_>, pairs: &[Pair<'_>]) -> Result<Plan, EmergencyError> {
    let pairs: Vec<_> = pairs.iter().map(|p| (workload(p), p.from.arn.clone(), p.to.arn.clone())).collect();
    plan_text(&wanted.load_balancer.arn, &pairs)
}

/// A plan over pairs of groups: workload, the one that is to have the traffic, the one that is to lose it.
fn plan_text(lb: &str, pairs: &[(String, String, String)]) -> Result<Plan, EmergencyError> {
    let mut parts = lb.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let workloads: Vec<_> = pairs
        .iter()
        .map(|(name, from, to)| json!({"name": name, "routes": [{"alb": {"loadBalancer": lb, "targetGroups": {"from": from, "to": to}}}]}))
        .collect();
    let text = json!({
        "apiVersion": "cutover.dev/v1alpha1", "kind": "Cutover", "metadata": {"name": "rollback"},
        "spec": {
            "aws": {"accountId": account, "region": region},
            "clusters": [{"name": "from"}, {"name": "to"}],
            "workloads": workloads,
            "strategy": {"from": "from", "to": "to", "steps": [{"setShares": {"from": 100, "to": 0}}]},
        },
    });
    let text = serde_yaml::to_string(&text).map_err(|e| EmergencyError::Plan(e.to_string()))?;
    plan::lint("rollback", text.as_bytes()).map_err(|e| EmergencyError::Plan(plan::render(&e, false)))
}
