//! A rollback from the original weights that tags record: without a journal and without a plan. The result is an
//! ordinary run that begins with its rollback.

use std::collections::{BTreeMap, BTreeSet};

use super::route_tag::{self, RouteTag};
use super::{BACK_TO, EmergencyError, LoadBalancerReading, PreparedRollback, clusters, prepared_rollback, route_start};
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::run::event::RouteStart;
use crate::domain::traffic::{Member, Split};

/// A rollback that is derived from tags.
#[derive(Debug, Clone)]
pub struct TagRollback {
    /// The run that wrote the tags.
    pub run: String,
    /// Every tagged route with the content that it had before that run.
    pub rollback: PreparedRollback,
}

/// Derives the rollback that restores every tagged route of these load balancers.
///
/// If there are tags of several runs, the run that `marker` names counts, otherwise the latest. A route without a tag
/// is included if the tagged routes determine its original content: traffic on a group that had none goes to the only
/// group that had it.
pub fn started(seen: &[LoadBalancerReading], marker: Option<&str>) -> Result<TagRollback, EmergencyError> {
    let tagged: Vec<_> =
        routes(seen).filter_map(|(s, r)| Some((s, r, route_tag::read(r.tags.get(route_tag::KEY)?)?))).collect();
    let names = || seen.iter().map(|s| s.load_balancer.name.clone()).collect::<Vec<_>>().join(", ");
    let marked = tagged.iter().find(|(_, _, kept)| Some(kept.run.as_str()) == marker);
    let last = tagged.iter().max_by_key(|(_, _, kept)| run_time(&kept.run));
    let run = marked.or(last).map(|(_, _, kept)| kept.run.clone()).ok_or_else(|| EmergencyError::NoTags(names()))?;
    let arns = arns(seen);
    let (mut all, mut more, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
    let ours: Vec<_> = tagged.iter().filter(|(_, _, kept)| kept.run == run).collect();
    for (s, live, kept) in &ours {
        match tagged_route(s, live, kept, &arns) {
            Some(route) => all.push(route),
            None => unclear.push(format!(
                "{}: its tag names a target group that was not found, or the route no longer forwards",
                live.label()
            )),
        }
    }
    for (s, live) in routes(seen).filter(|(_, r)| ours.iter().all(|(_, tagged, _)| tagged.id != r.id)) {
        match infer_route(s, live, &all) {
            Inferred::Nothing => {}
            Inferred::Route(route) => more.push(*route),
            Inferred::Unclear => unclear.push(format!("{}: no tag records its original weights", live.label())),
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

/// Returns the time in a run's id. An id without a time sorts before all others.
fn run_time(run: &str) -> &str {
    run.len().checked_sub(20).and_then(|at| run.get(at..)).unwrap_or_default()
}

/// ARNs of every group that was read, by the last segment of the ARN.
fn arns(seen: &[LoadBalancerReading]) -> BTreeMap<&str, &str> {
    seen.iter().flat_map(LoadBalancerReading::names).map(|(arn, _)| (route_tag::id(arn), arn)).collect()
}

fn tagged_route(
    seen: &LoadBalancerReading,
    live: &LiveRoute,
    kept: &RouteTag,
    arns: &BTreeMap<&str, &str>,
) -> Option<RouteStart> {
    live.forwards()?;
    let was = kept.split(arns)?;
    let managed = kept.groups.iter().filter(|p| p.managed);
    let groups = managed.filter_map(|p| Some(((*arns.get(p.id.as_str())?).to_owned(), p.carries())));
    Some(route_start(seen, live, &was, clusters(&groups.collect::<Vec<_>>())))
}

/// What the tagged routes say about a route without a tag.
enum Inferred {
    /// It uses none of their idle groups.
    Nothing,
    /// Its original content.
    Route(Box<RouteStart>),
    /// It uses one of their groups, but its original content is unknown.
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
    let managed = [(from, total), (to, 0)].map(|(arn, weight)| Member { id: arn.clone(), weight: Some(weight) });
    let was = Split { members: managed.into_iter().chain(others).collect() };
    Inferred::Route(Box::new(route_start(seen, live, &was, (*pair).clone())))
}

/// Whether a group had traffic of a route.
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

    /// Returns the fixture's load balancer at half of the shares. Every route has tags of a run, except those of port
    /// 80 with priority 20 and higher.
    fn seen(run: &str) -> LoadBalancerReading {
        let listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        let mut seen = LoadBalancerReading {
            at: jiff::Timestamp::UNIX_EPOCH,
            load_balancer: fixture::load_balancer(),
            listeners,
            groups: Vec::new(),
            health: BTreeMap::new(),
            skipped: Vec::new(),
        };
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
    fn tagged_routes_are_restored_and_untagged_ones_inferred() {
        let told = started(&[seen("alpha-20260105-080000-xtj4")], None).unwrap();
        assert_eq!(
            (told.run.as_str(), told.rollback.unclear.len(), told.rollback.started.routes.len()),
            ("alpha-20260105-080000-xtj4", 0, 6)
        );
        for route in &told.rollback.started.routes {
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
    fn the_marked_run_counts_and_else_the_last_one() {
        let mut mixed = seen("alpha-20260105-080000-xtj4");
        let other = seen("older-20250105-080000-xtj4");
        mixed.listeners[1] = other.listeners[1].clone();
        assert_eq!(started(&[mixed.clone()], None).unwrap().run, "alpha-20260105-080000-xtj4");
        assert_eq!(started(&[mixed], Some("older-20250105-080000-xtj4")).unwrap().run, "older-20250105-080000-xtj4");
    }

    #[test]
    fn a_damaged_tag_is_ignored() {
        let mut seen = seen("alpha-20260105-080000-xtj4");
        for route in seen.listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if let Some(value) = route.tags.get_mut(route_tag::KEY) {
                *value = value.replace("=100", "=101");
            }
        }
        assert!(matches!(started(&[seen], None), Err(EmergencyError::NoTags(_))));
    }
}
