//! What each route's forward is to be: after a step, and after a rollback. Both derive from the original tuples, never from current weights.

use std::collections::BTreeMap;

use super::action::Forward;
use super::shares::{self, Imprecise};
use super::state::{Rollback, Route, State};
use crate::plan::model::{ClusterName, Plan, RollbackStickiness, Shares, StepKind};

/// The managed groups of a route that the plan ever uses: those that are in the original action, and those of clusters that ever get a share.
fn managed(plan: &Plan, route: &Route) -> Vec<(ClusterName, String)> {
    let used = |cluster: &str, arn: &str| plan.strategy.peak(cluster) > 0 || route.original().weight(arn).is_some();
    route.start.groups.iter().filter(|(c, arn)| used(c, arn)).map(|(c, arn)| (c.clone(), arn.clone())).collect()
}

/// The original forward with these shares. Clusters that the plan never uses here have none, and are not attached for it.
fn spell(plan: &Plan, route: &Route, shares: &Shares) -> Result<Forward, Imprecise> {
    let managed = managed(plan, route);
    let shares =
        shares.iter().filter(|(c, share)| **share > 0 || managed.iter().any(|(m, _)| m == *c)).map(|(c, s)| (c.clone(), *s)).collect();
    shares::spell(route.original(), &managed, &shares)
}

/// The share step that rules at `step`: the last one up to it.
pub fn ruling(plan: &Plan, step: usize) -> Option<(usize, &Shares)> {
    plan.strategy.steps.iter().take(step).rev().find_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some((s.number, shares)),
        _ => None,
    })
}

/// The next share step from `step` on.
pub fn coming(plan: &Plan, step: usize) -> Option<(usize, &Shares)> {
    plan.strategy.steps.iter().skip(step.saturating_sub(1)).find_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some((s.number, shares)),
        _ => None,
    })
}

/// What a route's forward is to be once `step` is done, for a run that began at `from_step`.
pub fn after(plan: &Plan, route: &Route, from_step: usize, step: usize) -> Result<Forward, Imprecise> {
    if let Some((_, shares)) = ruling(plan, step).filter(|(number, _)| *number >= from_step) {
        return spell(plan, route, shares);
    }
    let bound = plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind && (from_step..=step).contains(&s.number));
    Ok(if bound { attached(plan, route) } else { route.original().clone() })
}

fn attached(plan: &Plan, route: &Route) -> Forward {
    let groups = managed(plan, route);
    let arns: Vec<_> = groups.iter().map(|(_, arn)| arn.as_str()).collect();
    shares::attach(route.original(), &arns)
}

/// What a route's forward is to be once it is rolled back: the original shares, with the plan's groups that are attached now left attached
/// at weight 0; or, where stickiness must be broken, without the groups that have no share at the start.
pub fn back(plan: &Plan, state: &State, route: &Route, rollback: &Rollback, live: &Forward) -> Result<Forward, Imprecise> {
    if let Some((_, shares)) = rollback.to_step.and_then(|step| ruling(plan, step)) {
        return spell(plan, route, shares);
    }
    let start = start(plan, state, route, live)?;
    let idle: Vec<_> = route.start.groups.values().map(String::as_str).filter(|arn| start.weight(arn).unwrap_or(0) == 0).collect();
    if breaks(plan, state, route, rollback) {
        return Ok(shares::detach(&start, &idle).unwrap_or(start));
    }
    let kept: Vec<_> = idle.into_iter().filter(|arn| live.weight(arn).is_some()).collect();
    Ok(shares::attach(&start, &kept))
}

/// The shares of the start. Where someone else changed the part of the action that is not the plan's, they are spelled into what is live:
/// that part is not ours to put back.
fn start(plan: &Plan, state: &State, route: &Route, live: &Forward) -> Result<Forward, Imprecise> {
    if let (true, Some(shares)) = (foreign(route, live), state.started.start.clone().or_else(|| whole(&shares_of(route, route.original()))))
    {
        let used = route.start.groups.iter().filter(|(c, arn)| live.weight(arn).is_some() || shares.get(*c).is_some_and(|s| *s > 0));
        let managed: Vec<_> = used.map(|(c, arn)| (c.clone(), arn.clone())).collect();
        let shares = shares.into_iter().filter(|(c, _)| managed.iter().any(|(m, _)| m == c)).collect();
        return shares::spell(live, &managed, &shares);
    }
    state.started.start.as_ref().map_or_else(|| Ok(route.original().clone()), |shares| spell(plan, route, shares))
}

/// Whether the part of an action that is not the plan's, or its stickiness, is not what it was at the start.
fn foreign(route: &Route, live: &Forward) -> bool {
    let others = |forward: &Forward| -> BTreeMap<String, u64> {
        let own = |arn: &String| route.start.groups.values().any(|g| g == arn);
        let all = forward.target_groups.iter().map(|t| &t.target_group_arn).filter(|arn| !own(arn));
        all.map(|arn| (arn.clone(), forward.weight(arn).unwrap_or(0).into())).collect()
    };
    let total = |forward: &Forward| -> u64 {
        forward.target_groups.iter().map(|t| u64::from(forward.weight(&t.target_group_arn).unwrap_or(0))).sum()
    };
    let (was, is) = (others(route.original()), others(live));
    let (before, now) = (total(route.original()), total(live));
    let sticky = |f: &Forward| f.target_group_stickiness_config.clone().filter(|s| s.enabled);
    // Equal as parts of the whole, whatever the weights' scale.
    let same = was.len() == is.len() && was.iter().all(|(arn, w)| is.get(arn).is_some_and(|v| w * now == v * before));
    !same || sticky(route.original()) != sticky(live)
}

/// Shares in whole percents, where they are such.
fn whole(shares: &BTreeMap<ClusterName, f64>) -> Option<Shares> {
    let all: Shares = shares.iter().map(|(c, share)| (c.clone(), super::gate::ceil(*share))).collect();
    (all.values().sum::<u32>() == 100).then_some(all)
}

/// Whether this rollback drops the new groups from this action: group stickiness is on, cookies may have been given, and nobody chose otherwise.
pub fn breaks(plan: &Plan, state: &State, route: &Route, rollback: &Rollback) -> bool {
    sticky_clients(plan, state, route) && rollback.automatic && plan.strategy.rollback_stickiness == RollbackStickiness::Break
}

/// Whether clients may hold cookies that lead to a group which a rollback puts to 0: it had traffic before the run, or in it.
pub fn sticky_clients(plan: &Plan, state: &State, route: &Route) -> bool {
    let carries = |arn: &str| route.original().weight(arn).is_some_and(|w| w > 0);
    let done = plan.strategy.steps.iter().take(state.step).skip(state.started.from_step - 1);
    let raised: Vec<_> = done.filter_map(|s| if let StepKind::Shares(shares) = &s.kind { Some(shares) } else { None }).collect();
    let lost = |(cluster, arn): (&ClusterName, &String)| {
        let stays = state.started.start.as_ref().map_or(carries(arn), |start| start.get(cluster).is_some_and(|share| *share > 0));
        !stays && (carries(arn) || raised.iter().any(|shares| shares.get(cluster).is_some_and(|share| *share > 0)))
    };
    route.original().sticky() && route.start.groups.iter().any(lost)
}

/// The managed shares of a forward, in percent by cluster; empty where the managed part carries nothing.
pub fn shares_of(route: &Route, forward: &Forward) -> BTreeMap<ClusterName, f64> {
    let groups: Vec<_> = route.start.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
    shares::read(forward, &groups).unwrap_or_default()
}
