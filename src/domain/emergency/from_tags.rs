//! Prepares a rollback from tags that record the original weights, without a journal and without a plan. The result is
//! an ordinary run that starts with a rollback.

use std::collections::{BTreeMap, BTreeSet};

use super::header_rules::is_header_rule;
use super::route_tag::{self, RouteTag};
use super::{BACK_TO, EmergencyError, LoadBalancerReading, PreparedRollback, clusters, other_type};
use super::{prepared_rollback, route_start};
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::run::event::RouteStart;
use crate::domain::traffic::{Member, Split};

/// A rollback that is derived from tags.
#[derive(Debug, Clone)]
pub struct TagRollback {
    /// The run that wrote the tags.
    pub run: String,
    /// The rollback of every tagged route to the content from before the run.
    pub rollback: PreparedRollback,
}

/// Derives the rollback that restores every tagged route of these load balancers.
///
/// If the load balancers have tags of several runs, the tags of the run that `marker` names are used, otherwise the
/// tags of the latest run. A route without a tag is included if the tagged routes determine its original content: its
/// traffic on a group without original traffic moves to the only group that had this traffic.
///
/// # Errors
/// [`EmergencyError`] if no tag records the original weights, or if cutover does not move the traffic of a load
/// balancer of this type.
pub fn started(seen: &[LoadBalancerReading], marker: Option<&str>) -> Result<TagRollback, EmergencyError> {
    other_type::refuse(seen).map_or_else(|| rollback(seen, marker), Err)
}

fn rollback(seen: &[LoadBalancerReading], marker: Option<&str>) -> Result<TagRollback, EmergencyError> {
    let tagged: Vec<_> =
        routes(seen).filter_map(|(s, r)| Some((s, r, route_tag::read(r.tags.get(route_tag::KEY)?)?))).collect();
    let names = || seen.iter().map(|s| s.load_balancer.name.clone()).collect::<Vec<_>>().join(", ");
    let marked = tagged.iter().find(|(_, _, tag)| Some(tag.run.as_str()) == marker);
    let last = tagged.iter().max_by_key(|(_, _, tag)| run_time(&tag.run));
    let run = marked.or(last).map(|(_, _, tag)| tag.run.clone()).ok_or_else(|| EmergencyError::NoTags(names()))?;
    let arns = arns(seen);
    let (mut all, mut more, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
    let routes_of_run: Vec<_> = tagged.iter().filter(|(_, _, tag)| tag.run == run).collect();
    for (s, live, tag) in &routes_of_run {
        match tagged_route(s, live, tag, &arns) {
            Some(route) => all.push(route),
            None => unclear.push(format!(
                "{}: the tag names a target group that was not found, or the route no longer forwards",
                live.label()
            )),
        }
    }
    let untagged = routes(seen).filter(|(_, r)| !is_header_rule(r));
    for (s, live) in untagged.filter(|(_, r)| routes_of_run.iter().all(|(_, tagged, _)| tagged.id != r.id)) {
        match infer_route(s, live, &all) {
            Inferred::Nothing => {}
            Inferred::Route(route) => more.push(*route),
            Inferred::Unclear => unclear.push(format!("{}: no tag records the original weights", live.label())),
        }
    }
    all.extend(more);
    if all.is_empty() {
        return Err(EmergencyError::NoTags(names()));
    }
    Ok(TagRollback { run, rollback: prepared_rollback(seen, all, unclear) })
}

fn routes(seen: &[LoadBalancerReading]) -> impl Iterator<Item = (&LoadBalancerReading, &LiveRoute)> {
    seen.iter().flat_map(|s| s.routes().map(move |r| (s, r)))
}

/// Returns the time in a run's id, as sortable text; empty for an id without a time.
fn run_time(run: &str) -> &str {
    run.len().checked_sub(20).and_then(|at| run.get(at..)).unwrap_or_default()
}

/// Returns the ARN of every group that was read, by the last segment of the ARN.
fn arns(seen: &[LoadBalancerReading]) -> BTreeMap<&str, &str> {
    seen.iter().flat_map(LoadBalancerReading::names).map(|(arn, _)| (route_tag::id(arn), arn)).collect()
}

fn tagged_route(
    seen: &LoadBalancerReading,
    live: &LiveRoute,
    tag: &RouteTag,
    arns: &BTreeMap<&str, &str>,
) -> Option<RouteStart> {
    live.forwards()?;
    let was = tag.split(arns)?;
    let managed = tag.groups.iter().filter(|p| p.managed);
    let groups = managed.filter_map(|p| Some(((*arns.get(p.id.as_str())?).to_owned(), p.carries())));
    Some(route_start(seen, live, &was, clusters(&groups.collect::<Vec<_>>())))
}

/// The original content of a route without a tag, inferred from the tagged routes.
enum Inferred {
    /// The route has no traffic on a group that lost its traffic in the rollback's run.
    Nothing,
    /// The original content of the route is known.
    Route(Box<RouteStart>),
    /// The route has traffic on a group that lost its traffic, but the original content of the route is unknown.
    Unclear,
}

fn infer_route(seen: &LoadBalancerReading, live: &LiveRoute, tagged: &[RouteStart]) -> Inferred {
    let Some(now) = live.forwards() else { return Inferred::Nothing };
    let weight = |arn: &String| now.weight(arn).unwrap_or(0);
    let idle: BTreeSet<_> = tagged.iter().flat_map(|r| r.groups.values().filter(|arn| !carried(r, arn))).collect();
    let Some(to) = now.ids().find(|arn| idle.contains(arn) && weight(arn) > 0) else {
        return Inferred::Nothing;
    };
    let partners: BTreeSet<_> =
        tagged.iter().filter(|r| r.groups.values().any(|g| g == to)).map(|r| &r.groups).collect();
    let (Some(pair), 1) = (partners.first(), partners.len()) else { return Inferred::Unclear };
    let (Some(from), 2) = (pair.get(BACK_TO), pair.len()) else { return Inferred::Unclear };
    let total = weight(from).saturating_add(weight(to)).min(LIMITS.max_weight);
    let others = now.members.iter().filter(|m| m.id != *from && m.id != *to).cloned();
    let managed = [(from, total), (to, 0)].map(|(arn, weight)| Member::new(arn.clone(), Some(weight)));
    let was = Split { members: managed.into_iter().chain(others).collect() };
    Inferred::Route(Box::new(route_start(seen, live, &was, (*pair).clone())))
}

/// Whether a group had traffic of a route before the run.
fn carried(route: &RouteStart, arn: &str) -> bool {
    route.content.split.carries(arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, live_resources};

    const A: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/webapp-a/00000000000000aa";
    const B: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/webapp-b/00000000000000bb";
    const C: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/third/00000000000000cc";

    /// Returns the fixture's load balancer with 50 % on each cluster. Every route has a tag of the run, except the
    /// routes of port 80 with priority 20 and higher.
    fn seen(run: &str) -> LoadBalancerReading {
        let listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        let mut seen = LoadBalancerReading::of(listeners);
        let mut start = fixture::started(4);
        start.start = None;
        for route in
            seen.listeners.iter_mut().flat_map(|(_, routes)| routes).filter(|r| r.priority.is_none_or(|p| p < 30))
        {
            let was = fixture::forward(&[]).with_split(&Split::of([(A, 100), (B, 0), (C, 25)]));
            let old = RouteStart {
                groups: [("a".into(), A.into()), ("b".into(), B.into())].into(),
                content: was.clone(),
                ..start.routes[0].clone()
            };
            if route.port != 80 || route.priority.is_none_or(|p| p < 20) {
                route.tags.insert(route_tag::KEY.into(), route_tag::value(run, &start, &old).unwrap());
            }
            route.content = was.with_split(&Split::of([(A, 50), (B, 50), (C, 25)]));
        }
        seen
    }

    #[test]
    fn tagged_routes_are_restored_and_untagged_routes_are_inferred() {
        let found = started(&[seen("alpha-20260105-080000-xtj4")], None).unwrap();
        assert_eq!(
            (found.run.as_str(), found.rollback.unclear.len(), found.rollback.started.routes.len()),
            ("alpha-20260105-080000-xtj4", 0, 6)
        );
        for route in &found.rollback.started.routes {
            let was = &route.content.split;
            assert_eq!([A, B, C].map(|g| was.weight(g)), [Some(100), Some(0), Some(25)], "{}", route.label);
            let found = route.content_at_start.as_ref().unwrap();
            assert_eq!(found.split.weight(B), Some(50));
            assert_eq!(
                route.groups,
                [(BACK_TO.to_owned(), A.to_owned()), (crate::domain::emergency::AWAY_FROM.to_owned(), B.to_owned())]
                    .into()
            );
        }
    }

    #[test]
    fn marked_run_is_used_and_otherwise_the_latest_run() {
        let mut mixed = seen("alpha-20260105-080000-xtj4");
        let other = seen("older-20250105-080000-xtj4");
        mixed.listeners[1] = other.listeners[1].clone();
        assert_eq!(started(&[mixed.clone()], None).unwrap().run, "alpha-20260105-080000-xtj4");
        assert_eq!(started(&[mixed], Some("older-20250105-080000-xtj4")).unwrap().run, "older-20250105-080000-xtj4");
    }

    #[test]
    fn damaged_tag_is_ignored() {
        let mut seen = seen("alpha-20260105-080000-xtj4");
        for route in seen.listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if let Some(value) = route.tags.get_mut(route_tag::KEY) {
                *value = value.replace("=100", "=101");
            }
        }
        assert!(matches!(started(&[seen], None), Err(EmergencyError::NoTags(_))));
    }
}
