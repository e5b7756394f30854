//! A rollback from the weights that tags keep: no journal, no plan. What results is an ordinary run that begins with its rollback.

use std::collections::BTreeMap;

use super::weights::{self, Kept};
use super::{EmergencyError, Seen, plan_text};
use crate::domain::elb::action::{self, Forward, Tuple};
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::health::gate::Sample;
use crate::domain::run::event::{GroupStart, RouteStart, Started};
use crate::plan::model::{ClusterName, Plan};

/// What tags tell.
#[derive(Debug, Clone)]
pub struct Told {
    /// A plan over it, so that the run can be resumed like any other.
    pub plan: Plan,
    /// Every route, where it was before that run, and what is there now.
    pub started: Started,
    /// The run that wrote the tags.
    pub run: String,
    /// Routes that forward to the run's groups, without a tag that says where they were: they stay as they are.
    pub untold: Vec<String>,
}

/// The beginning of a run whose rollback returns every tagged route of these load balancers to where it was.
///
/// Where tags of several runs are there, the one counts that `marker` names, else the last one. A route without a tag is taken along where the
/// others tell what to do with it: what is on groups that had no traffic goes to the only one that had.
pub fn started(seen: &[Seen], marker: Option<&str>) -> Result<Told, EmergencyError> {
    let tagged: Vec<_> = routes(seen).filter_map(|(s, r)| Some((s, r, weights::read(r.tags.get(weights::KEY)?)?))).collect();
    let names = || seen.iter().map(|s| s.load_balancer.name.clone()).collect::<Vec<_>>().join(", ");
    let marked = tagged.iter().find(|(_, _, kept)| Some(kept.run.as_str()) == marker);
    let last = tagged.iter().max_by_key(|(_, _, kept)| when(&kept.run));
    let run = marked.or(last).map(|(_, _, kept)| kept.run.clone()).ok_or_else(|| EmergencyError::NoTags(names()))?;
    let arns = arns(seen);
    let mut all = Vec::new();
    for (s, live, kept) in tagged.iter().filter(|(_, _, kept)| kept.run == run) {
        all.extend(told(s, live, kept, &arns));
    }
    let known: Vec<String> = all.iter().map(|r: &RouteStart| r.id.clone()).collect();
    let (mut more, mut untold) = (Vec::new(), Vec::new());
    for (s, live) in routes(seen).filter(|(_, r)| !known.contains(&r.id)) {
        match inferred(s, live, &all) {
            Inferred::Nothing => {}
            Inferred::Route(route) => more.push(*route),
            Inferred::Unclear => untold.push(live.label()),
        }
    }
    all.extend(more);
    let groups = groups(seen, &all);
    let plan = plan_of(seen, &all)?;
    let started = Started {
        plan: plan.name.clone(),
        text: plan.text.clone(),
        hash: plan.hash.clone(),
        owner: String::new(),
        from: plan.strategy.from.clone(),
        to: plan.strategy.to.clone(),
        from_step: 1,
        start: None,
        load_balancers: seen.iter().map(|s| s.load_balancer.arn.clone()).collect(),
        routes: all,
        groups,
        clusters: BTreeMap::new(),
        bindings: Vec::new(),
        others: None,
    };
    Ok(Told { plan, started, run, untold })
}

fn routes(seen: &[Seen]) -> impl Iterator<Item = (&Seen, &LiveRoute)> {
    seen.iter().flat_map(|s| s.listeners.iter().flat_map(move |(_, routes)| routes.iter().map(move |r| (s, r))))
}

/// The time in a run's id; ids without one are older than any.
fn when(run: &str) -> &str {
    run.len().checked_sub(20).and_then(|at| run.get(at..)).unwrap_or_default()
}

/// ARNs of every group in sight, by their last part.
fn arns(seen: &[Seen]) -> BTreeMap<&str, &str> {
    let listed = seen.iter().flat_map(|s| s.groups.iter().map(|g| g.arn.as_str()));
    let used = routes(seen).filter_map(|(_, r)| r.forward()).flat_map(|f| f.target_groups.iter().map(|t| t.target_group_arn.as_str()));
    listed.chain(used).map(|arn| (weights::id(arn), arn)).collect()
}

fn told(seen: &Seen, live: &LiveRoute, kept: &Kept, arns: &BTreeMap<&str, &str>) -> Option<RouteStart> {
    let now = live.forward()?;
    let was = kept.forward(arns, now)?;
    let managed = kept.parts.iter().filter(|p| p.managed);
    let clusters = managed.filter_map(|p| Some(((*arns.get(p.id.as_str())?).to_owned(), p.carries())));
    Some(route(seen, live, was, named(&clusters.collect::<Vec<_>>())))
}

/// `from` for groups that had traffic, `to` for those that had none.
fn named(groups: &[(String, bool)]) -> BTreeMap<ClusterName, String> {
    let mut all = BTreeMap::new();
    for (arn, carried) in groups {
        let name = if *carried { "from" } else { "to" };
        let free = (1..=groups.len()).map(|n| if n == 1 { name.to_owned() } else { format!("{name}-{n}") }).find(|n| !all.contains_key(n));
        all.extend(free.map(|n| (n, arn.clone())));
    }
    all
}

fn route(seen: &Seen, live: &LiveRoute, was: Forward, groups: BTreeMap<ClusterName, String>) -> RouteStart {
    RouteStart {
        id: live.id.clone(),
        load_balancer: seen.load_balancer.arn.clone(),
        label: live.label(),
        conditions: live.conditions.clone(),
        workload: "rollback".into(),
        groups,
        actions: action::with_forward(&live.actions, &was),
        found: Some(live.actions.clone()),
        owners: Vec::new(),
    }
}

/// What the tagged routes tell of one that is not.
enum Inferred {
    /// It has nothing to do with them.
    Nothing,
    /// Where it must have been.
    Route(Box<RouteStart>),
    /// It has something to do with them, and nobody knows what.
    Unclear,
}

fn inferred(seen: &Seen, live: &LiveRoute, tagged: &[RouteStart]) -> Inferred {
    let Some(now) = live.forward() else { return Inferred::Nothing };
    let weight = |arn: &String| now.weight(arn).unwrap_or(0);
    let idle: Vec<_> = tagged.iter().flat_map(|r| r.groups.iter().filter(|(c, _)| c.starts_with("to")).map(|(_, arn)| arn)).collect();
    let Some(to) = now.target_groups.iter().map(|t| &t.target_group_arn).find(|arn| idle.contains(arn) && weight(arn) > 0) else {
        return Inferred::Nothing;
    };
    let partners = tagged.iter().filter(|r| r.groups.values().any(|g| g == to)).map(|r| r.groups.clone());
    let pairs: std::collections::BTreeSet<_> = partners.collect();
    let (Some(pair), 1) = (pairs.first(), pairs.len()) else { return Inferred::Unclear };
    let (Some(from), 2) = (pair.get("from"), pair.len()) else { return Inferred::Unclear };
    let total = weight(from).saturating_add(weight(to)).min(999);
    let others = now.target_groups.iter().filter(|t| t.target_group_arn != *from && t.target_group_arn != *to).cloned();
    let managed = [(from, total), (to, 0)].map(|(arn, weight)| Tuple { target_group_arn: arn.clone(), weight: Some(weight) });
    let was = Forward { target_groups: managed.into_iter().chain(others).collect(), ..now.clone() };
    Inferred::Route(Box::new(route(seen, live, was, pair.clone())))
}

fn groups(seen: &[Seen], routes: &[RouteStart]) -> BTreeMap<String, GroupStart> {
    let mut all = BTreeMap::new();
    for (cluster, arn) in routes.iter().flat_map(|r| &r.groups) {
        let health = seen.iter().find_map(|s| s.health.get(arn)).and_then(|h| h.as_ref().ok());
        let group = seen.iter().find_map(|s| s.groups.iter().find(|g| g.arn == *arn));
        all.entry(arn.clone()).or_insert_with(|| GroupStart {
            name: group.map_or_else(|| crate::domain::run::watch::short(arn).to_owned(), |g| g.name.clone()),
            cluster: cluster.clone(),
            workload: "rollback".into(),
            healthy: health.map_or(0, |t| Sample::of(jiff::Timestamp::UNIX_EPOCH, t).counts.healthy),
            interval: group.map_or(30, |g| g.health_check.interval_seconds),
            cross_zone: true,
            zones: Vec::new(),
            deregistration_delay: 300,
        });
    }
    all
}

/// A plan needs two groups to be one; which, matters to nobody: the routes say where the traffic goes.
fn plan_of(seen: &[Seen], routes: &[RouteStart]) -> Result<Plan, EmergencyError> {
    let lb = seen.first().map(|s| s.load_balancer.arn.clone()).unwrap_or_default();
    let pair = routes.iter().find_map(|r| Some((r.groups.get("from")?, r.groups.get("to")?)));
    let (from, to) = pair.ok_or_else(|| EmergencyError::NoTags(lb.clone()))?;
    plan_text(&lb, &[("rollback".to_owned(), from.clone(), to.clone())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, world};

    const A: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/webapp-a/00000000000000aa";
    const B: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/webapp-b/00000000000000bb";
    const C: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/third/00000000000000cc";

    fn forward(weights: [(&str, u16); 3]) -> Forward {
        let target_groups = weights.map(|(arn, weight)| Tuple { target_group_arn: arn.into(), weight: Some(weight) }).into();
        Forward { target_groups, target_group_stickiness_config: None }
    }

    /// The fixture's load balancer half-way, with tags of a run on every route but those of port 80 from priority 20 on.
    fn seen(run: &str) -> Seen {
        let listeners = world().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        let mut seen = Seen {
            at: jiff::Timestamp::UNIX_EPOCH,
            load_balancer: fixture::load_balancer(),
            listeners,
            groups: Vec::new(),
            health: BTreeMap::new(),
        };
        let mut start = fixture::started(4);
        start.start = None;
        for route in seen.listeners.iter_mut().flat_map(|(_, routes)| routes).filter(|r| r.priority.is_none_or(|p| p < 30)) {
            let was = vec![action::Action::Forward { order: None, forward_config: forward([(A, 100), (B, 0), (C, 25)]) }];
            let old = RouteStart {
                groups: [("a".into(), A.into()), ("b".into(), B.into())].into(),
                actions: was.clone(),
                ..start.routes[0].clone()
            };
            if route.port != 80 || route.priority.is_none_or(|p| p < 20) {
                route.tags.insert(weights::KEY.into(), weights::value(run, &start, &old).unwrap());
            }
            route.actions = action::with_forward(&was, &forward([(A, 50), (B, 50), (C, 25)]));
        }
        seen
    }

    #[test]
    fn every_route_goes_where_its_tag_says_and_the_untagged_one_with_the_others() {
        let told = started(&[seen("alpha-20260105-080000-xtj4")], None).unwrap();
        assert_eq!((told.run.as_str(), told.untold.len(), told.started.routes.len()), ("alpha-20260105-080000-xtj4", 0, 6));
        for route in &told.started.routes {
            let was = action::forward(&route.actions).unwrap();
            assert_eq!([A, B, C].map(|g| was.weight(g)), [Some(100), Some(0), Some(25)], "{}", route.label);
            let found = route.found.as_deref().and_then(action::forward).unwrap();
            assert_eq!(found.weight(B), Some(50));
            assert_eq!(route.groups, [("from".to_owned(), A.to_owned()), ("to".to_owned(), B.to_owned())].into());
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
    fn a_tag_that_is_not_whole_tells_nothing() {
        let mut seen = seen("alpha-20260105-080000-xtj4");
        for route in seen.listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if let Some(value) = route.tags.get_mut(weights::KEY) {
                *value = value.replace("=100", "=101");
            }
        }
        assert!(matches!(started(&[seen], None), Err(EmergencyError::NoTags(_))));
    }
}
