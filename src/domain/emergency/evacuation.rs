//! Prepares an evacuation: a cluster is failing, and its share on every route goes to the other members at once, in
//! proportion to what they have. It needs the same as a rollback without a journal: the listeners and rules, and
//! nothing else. The result is an ordinary run that starts with a rollback to the shares without the cluster.

use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::header_rules::is_header_rule;
use super::{EmergencyError, LoadBalancerReading, PreparedRollback, other_type};
use super::{prepared_rollback, route_start};
use crate::base::arn::short;
use crate::base::number::{count, percent};
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::health::gate::Sample;
use crate::domain::run::event::{EVACUATION_PLAN, GroupStart, RouteStart, Started};
use crate::domain::run::frozen_plan;
use crate::domain::traffic::evacuation::{EvacuationError, without};
use crate::domain::traffic::{ClusterName, RouteContent, Split};
use crate::plan::model::{Plan, RouteEntry, Selector, TargetHealthGates};

/// The first words of the cause of an evacuation.
pub const EVACUATION: &str = "evacuation of ";

/// What loses its traffic.
#[derive(Debug, Clone, Copy)]
pub enum Leaving<'a> {
    /// A cluster of a plan. The other groups of the plan's entry can take its traffic.
    Cluster(&'a Plan, &'a str),
    /// The target groups whose names match one of these globs. The other groups of the same action take the traffic.
    Groups(&'a [String]),
}

impl Leaving<'_> {
    /// Returns the name of what loses its traffic, for messages.
    pub fn name(&self) -> String {
        match self {
            Self::Cluster(_, cluster) => (*cluster).to_owned(),
            Self::Groups(globs) => globs.join(", "),
        }
    }
}

/// Prepares the evacuation of every route of these load balancers on which the cluster has traffic. Each reading has the
/// selector of its load balancer.
///
/// # Errors
/// [`EmergencyError`] if no route has traffic to move, if the destination is not clear for any route, or if cutover does
/// not move the traffic of a load balancer of this type.
pub fn started(
    seen: &[(Selector, LoadBalancerReading)],
    leaving: Leaving<'_>,
) -> Result<PreparedRollback, EmergencyError> {
    let readings: Vec<_> = seen.iter().map(|(_, reading)| reading.clone()).collect();
    if let Some(error) = other_type::refuse(&readings) {
        return Err(error);
    }
    let (mut routes, mut unclear) = (Vec::new(), Vec::new());
    for (selector, reading) in seen {
        for live in reading.routes().filter(|live| !is_header_rule(live)) {
            match evacuated(selector, reading, live, leaving) {
                Ok(Some(route)) => routes.push(route),
                Ok(None) => {}
                Err(why) => unclear.push(format!("{}: {why}", live.label())),
            }
        }
    }
    if routes.is_empty() {
        return Err(unclear
            .into_iter()
            .next()
            .map_or(EmergencyError::NoRoute(leaving.name()), EmergencyError::Unclear));
    }
    let prepared = prepared_rollback(&readings, routes, unclear);
    let to = leaving.name();
    let from = prepared.started.routes.first().and_then(receiver).unwrap_or_default();
    let started = Started { plan: EVACUATION_PLAN.to_owned(), from, to, ..prepared.started };
    Ok(PreparedRollback { plan: frozen_plan::plan(&started), started, unclear: prepared.unclear })
}

/// Returns the first cluster that takes the traffic of a route.
fn receiver(route: &RouteStart) -> Option<ClusterName> {
    route.groups.iter().find(|(_, arn)| route.content.split.carries(arn)).map(|(cluster, _)| cluster.clone())
}

/// Returns the start of a route with the split to write; `None` if the route has no traffic to move.
fn evacuated(
    selector: &Selector,
    reading: &LoadBalancerReading,
    live: &LiveRoute,
    leaving: Leaving<'_>,
) -> Result<Option<RouteStart>, String> {
    let Some(now) = live.forwards() else { return Ok(None) };
    let Some(Members { workload, groups, leaving }) = members(selector, reading, now, leaving) else { return Ok(None) };
    let leaves: Vec<&str> = leaving.iter().map(String::as_str).collect();
    let split = without(now, &groups, &leaves, LIMITS).map_err(|why| match why {
        EvacuationError::NoReceiver => {
            let names: Vec<_> = leaves.iter().map(|arn| short(arn)).collect();
            format!("no other target group can take the traffic of {}", names.join(", "))
        }
        other => other.to_string(),
    })?;
    let Some(split) = split else { return Ok(None) };
    let start = route_start(reading, live, &split, groups.into_iter().collect());
    Ok(Some(RouteStart { workload: workload.unwrap_or(start.workload), ..start }))
}

/// The members of a route that matter for an evacuation.
struct Members {
    workload: Option<String>,
    /// The members that lose or can take traffic: ARN by cluster. Without a plan, each group is a cluster.
    groups: Vec<(ClusterName, String)>,
    /// The ARNs of the members that lose their traffic.
    leaving: BTreeSet<String>,
}

/// Returns the members of a route; `None` if nothing that leaves is on the route.
fn members(selector: &Selector, reading: &LoadBalancerReading, now: &Split, leaving: Leaving<'_>) -> Option<Members> {
    match leaving {
        Leaving::Cluster(plan, cluster) => plan.workloads.iter().find_map(|workload| {
            let entries = workload.routes.iter().filter(|entry| entry.load_balancer == *selector);
            entries.map(|entry| resolved(entry, reading)).find_map(|groups| {
                let (_, own) = groups.iter().find(|(name, arn)| name == cluster && now.carries(arn))?;
                let leaving = [own.clone()].into();
                Some(Members { workload: Some(workload.name.clone()), groups, leaving })
            })
        }),
        Leaving::Groups(globs) => {
            let leaves = |arn: &&String| globs.iter().any(|glob| WildMatch::new(glob).matches(short(arn)));
            let leaving: BTreeSet<_> = now.ids().filter(leaves).filter(|arn| now.carries(arn)).cloned().collect();
            // Groups without traffic may be there for other purposes, so that they get none.
            let kept = now.ids().filter(|arn| leaving.contains(*arn) || (now.carries(arn) && !leaves(arn)));
            let groups = kept.map(|arn| (short(arn).to_owned(), arn.clone())).collect();
            (!leaving.is_empty()).then_some(Members { workload: None, groups, leaving })
        }
    }
}

/// Returns the ARNs of an entry's groups by cluster. A group that the load balancer does not have is left out.
fn resolved(entry: &RouteEntry, reading: &LoadBalancerReading) -> Vec<(ClusterName, String)> {
    let names = reading.names();
    let find = |selector: &Selector| match selector {
        Selector::Arn(arn) => Some(arn.clone()),
        Selector::Name(wanted) => {
            names.iter().find(|(_, name)| **name == wanted.as_str()).map(|(arn, _)| (*arn).to_owned())
        }
        Selector::Tags(wanted) => {
            let has = |tags: &BTreeMap<String, String>| wanted.iter().all(|(key, value)| tags.get(key) == Some(value));
            reading.groups.iter().find(|group| has(&group.tags)).map(|group| group.arn.clone())
        }
    };
    entry.target_groups.iter().filter_map(|(cluster, group)| Some((cluster.clone(), find(group)?))).collect()
}

/// Prepares the return from a finished evacuation: every route gets the split that it had before.
pub fn given_back(seen: &[LoadBalancerReading], evacuation: &Started) -> PreparedRollback {
    let (mut routes, mut unclear) = (Vec::new(), Vec::new());
    for old in &evacuation.routes {
        let found = seen.iter().find_map(|reading| Some((reading, reading.routes().find(|live| live.id == old.id)?)));
        let before = old.content_at_start.as_ref().and_then(RouteContent::forward_split);
        match (found, before) {
            (Some((reading, live)), Some(before)) if live.forwards().is_some() => {
                let start = route_start(reading, live, before, old.groups.clone());
                routes.push(RouteStart { workload: old.workload.clone(), ..start });
            }
            _ => unclear.push(format!("{}: it no longer exists, or no longer forwards to target groups", old.label)),
        }
    }
    let prepared = prepared_rollback(seen, routes, unclear);
    let (from, to) = (evacuation.to.clone(), evacuation.from.clone());
    let started = Started { from, to, ..prepared.started };
    PreparedRollback { plan: frozen_plan::plan(&started), started, unclear: prepared.unclear }
}

/// Returns why groups that get more traffic are not fit for it, one line each: their health is unknown, or fewer
/// targets are healthy than a raise needs.
pub fn unfit_groups(readings: &[LoadBalancerReading], started: &Started) -> Vec<String> {
    let gate = TargetHealthGates::default().raise;
    let gains = |arn: &str| {
        started.routes.iter().any(|route| {
            let now = route.content_at_start.as_ref().map_or(0, |content| content.split.traffic(arn));
            route.content.split.carries(arn) && now == 0
        })
    };
    let unfit = |(arn, group): (&String, &GroupStart)| {
        let health =
            readings.iter().find_map(|reading| reading.health.get(arn)?.as_ref().ok().map(|t| (reading.at, t)));
        let Some((at, targets)) = health else { return Some(format!("the health of {} is unknown", group.name)) };
        let sample = Sample::of(at, targets);
        let (healthy, all) = (sample.counts.healthy, sample.registered());
        let enough =
            healthy >= gate.min_healthy && f64::from(healthy) * 100.0 >= gate.min_healthy_percent * f64::from(all);
        (!enough).then(|| format!("{} has {healthy} of {} healthy", group.name, count(all as usize, "target")))
    };
    started.groups.iter().filter(|(arn, _)| gains(arn)).filter_map(unfit).collect()
}

/// Returns a line for each group that takes traffic: its healthy targets, its largest share before and after, and how
/// much each of its targets gets.
pub fn capacity(seen: &[LoadBalancerReading], started: &Started) -> Vec<String> {
    let mut lines = Vec::new();
    for (arn, group) in &started.groups {
        let shares = started.routes.iter().filter_map(|route| {
            let now = &route.content_at_start.as_ref()?.split;
            let (before, after) = (share(now, arn), share(&route.content.split, arn));
            (after > before).then_some((before, after))
        });
        // The route on which the group gains most.
        let most = |a: &(f64, f64), b: &(f64, f64)| (a.1 - a.0).total_cmp(&(b.1 - b.0));
        let Some((before, after)) = shares.max_by(most) else { continue };
        let known = seen.iter().any(|reading| reading.health.get(arn).is_some_and(Result::is_ok));
        let health = match group.healthy {
            _ if !known => "its health is unknown".to_owned(),
            0 => "it has NO healthy target".to_owned(),
            healthy => format!("it has {}", count(healthy as usize, "healthy target")),
        };
        let load = if before > 0.0 {
            format!(", each of which gets {:.1} times its requests", after / before)
        } else {
            ", which had no requests".to_owned()
        };
        let load = if known && group.healthy > 0 { load } else { String::new() };
        lines.push(format!("{} takes {} % → {} %: {health}{load}", group.name, percent(before), percent(after)));
    }
    lines
}

/// Returns the share of a group, in percent of all requests of a route.
#[allow(clippy::cast_precision_loss)] // weights are small
fn share(split: &Split, arn: &str) -> f64 {
    split.traffic(arn) as f64 * 100.0 / (split.total_traffic() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, live_resources};
    use crate::domain::health::{Target, TargetState};

    fn arn(name: &str) -> String {
        format!("arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/{name}/00000000000000aa")
    }

    fn selector() -> Selector {
        Selector::Name("edge".to_owned())
    }

    /// Returns the fixture's load balancer, on which every forwarding route has these weights.
    fn seen(weights: &[(&str, u16)]) -> Vec<(Selector, LoadBalancerReading)> {
        let mut listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        for route in listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if route.forwards().is_some() {
                route.content.split = Split::of(weights.iter().map(|(name, weight)| (arn(name), *weight)));
            }
        }
        let reading = LoadBalancerReading::of(listeners);
        vec![(selector(), reading)]
    }

    /// Returns a plan of three zones.
    fn plan() -> Plan {
        let mut plan = fixture::plan();
        let zones = ["a", "b", "c"].map(|zone| (format!("zone-{zone}"), Selector::Name(format!("web-{zone}"))));
        plan.workloads[0].routes[0].load_balancer = selector();
        plan.workloads[0].routes[0].target_groups = zones.into();
        plan
    }

    fn weights(prepared: &PreparedRollback) -> BTreeSet<Vec<(String, u16)>> {
        let weights = |route: &RouteStart| {
            let split = &route.content.split;
            split.ids().map(|id| (short(id).to_owned(), split.weight(id).unwrap_or(0))).collect::<Vec<_>>()
        };
        prepared.started.routes.iter().map(weights).collect()
    }

    fn only(weights: &[(&str, u16)]) -> BTreeSet<Vec<(String, u16)>> {
        [weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()].into()
    }

    #[test]
    fn a_zone_leaves_every_route_and_the_run_knows_what_was_live() {
        let seen = seen(&[("web-a", 34), ("web-b", 44), ("web-c", 22), ("other", 0)]);
        let prepared = started(&seen, Leaving::Cluster(&plan(), "zone-a")).unwrap();
        assert_eq!(weights(&prepared), only(&[("web-a", 0), ("web-b", 44), ("web-c", 22), ("other", 0)]));
        assert_eq!(prepared.started.routes.len(), seen[0].1.routes().filter(|r| r.forwards().is_some()).count());
        let started = &prepared.started;
        assert!(started.is_evacuation() && started.has_no_plan());
        assert_eq!((started.from.as_str(), started.to.as_str()), ("zone-b", "zone-a"));
        let before = started.routes[0].content_at_start.as_ref().map(|content| content.split.weight(&arn("web-a")));
        assert_eq!(before, Some(Some(34)), "what a later rollback gives back");
    }

    #[test]
    fn without_a_plan_the_other_groups_with_traffic_take_over() {
        let seen = seen(&[("web-a", 50), ("web-b", 50), ("fallback", 0)]);
        let globs = ["*-a".to_owned()];
        let prepared = started(&seen, Leaving::Groups(&globs)).unwrap();
        assert_eq!(weights(&prepared), only(&[("web-a", 0), ("web-b", 50), ("fallback", 0)]));
    }

    #[test]
    fn a_route_without_another_group_with_traffic_is_named_and_left_alone() {
        let seen = seen(&[("web-a", 100), ("fallback", 0)]);
        let globs = ["web-a".to_owned()];
        let error = started(&seen, Leaving::Groups(&globs)).unwrap_err().to_string();
        assert!(error.contains("no other target group can take the traffic of web-a"), "{error}");
        let nothing = started(&seen, Leaving::Cluster(&plan(), "zone-b")).unwrap_err();
        assert_eq!(nothing, EmergencyError::NoRoute("zone-b".to_owned()));
    }

    #[test]
    fn the_capacity_of_the_others_is_said_in_numbers() {
        let mut seen = seen(&[("web-a", 50), ("web-b", 25), ("web-c", 25)]);
        let healthy = Target {
            id: "10.0.0.1".to_owned(),
            port: 8080,
            zone: None,
            state: TargetState::Healthy,
            reason: None,
            explanation: None,
        };
        seen[0].1.health.insert(arn("web-b"), Ok(vec![healthy.clone(), healthy]));
        seen[0].1.health.insert(arn("web-c"), Ok(Vec::new()));
        let prepared = started(&seen, Leaving::Cluster(&plan(), "zone-a")).unwrap();
        let readings: Vec<_> = seen.into_iter().map(|(_, reading)| reading).collect();
        assert_eq!(
            capacity(&readings, &prepared.started),
            [
                "web-b takes 25 % → 50 %: it has 2 healthy targets, each of which gets 2.0 times its requests",
                "web-c takes 25 % → 50 %: it has NO healthy target",
            ]
        );
    }
    #[test]
    fn a_group_that_gets_traffic_again_needs_as_many_healthy_targets_as_a_raise() {
        let now = seen(&[("web-a", 0), ("web-b", 50), ("web-c", 50)]);
        let before =
            started(&seen(&[("web-a", 50), ("web-b", 25), ("web-c", 25)]), Leaving::Cluster(&plan(), "zone-a"));
        let mut readings: Vec<_> = now.into_iter().map(|(_, reading)| reading).collect();
        let unfit = |readings: &[LoadBalancerReading], evacuation: &Started| {
            unfit_groups(readings, &given_back(readings, evacuation).started)
        };
        let evacuation = before.unwrap().started;
        assert_eq!(unfit(&readings, &evacuation), ["the health of web-a is unknown"]);
        let target = |number: u8, state| Target {
            id: format!("10.0.0.{number}"),
            port: 8080,
            zone: None,
            state,
            reason: None,
            explanation: None,
        };
        let targets = [target(1, TargetState::Healthy), target(2, TargetState::Unhealthy)];
        readings[0].health.insert(arn("web-a"), Ok(targets.to_vec()));
        assert_eq!(unfit(&readings, &evacuation), ["web-a has 1 of 2 targets healthy"]);
        readings[0].health.insert(arn("web-a"), Ok(targets[..1].to_vec()));
        assert_eq!(unfit(&readings, &evacuation), Vec::<String>::new());
    }
}
