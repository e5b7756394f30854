//! Computes the target split of each route after a step and after a rollback. Both are derived from the original split,
//! never from the current weights. Decisions about when to write belong in other modules.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::run::event::{RouteStart, Started};
use crate::domain::run::state::{RampProgress, Rollback, Route, State};
use crate::domain::traffic::shares::{self, ShareError};
use crate::domain::traffic::{ClusterName, RouteContent, Shares, Split};
use crate::plan::model::{Plan, RollbackStickiness, StepKind};

/// Whether a cluster ever gets a share, by a step of the plan or by a rollback.
pub fn ever_used(plan: &Plan, start: Option<&Shares>, cluster: &str) -> bool {
    plan.strategy.peak(cluster) > 0 || start.is_some_and(|shares| shares.get(cluster).is_some_and(|share| *share > 0))
}

/// Returns the managed groups of a route that the run uses: the groups in the original split, and the groups of
/// clusters that ever get a share.
fn managed(plan: &Plan, start: Option<&Shares>, route: &Route) -> Vec<(ClusterName, String)> {
    let used = |cluster: &str, arn: &str| ever_used(plan, start, cluster) || route.original().weight(arn).is_some();
    route.start.groups.iter().filter(|(c, arn)| used(c, arn)).map(|(c, arn)| (c.clone(), arn.clone())).collect()
}

/// Returns the original split with these shares. Clusters that the plan never uses are not attached.
fn with_shares(plan: &Plan, started: &Started, route: &Route, shares: &Shares) -> Result<Split, ShareError> {
    let managed = managed(plan, started.start.as_ref(), route);
    let shares = shares
        .iter()
        .filter(|(c, share)| **share > 0 || managed.iter().any(|(m, _)| m == *c))
        .map(|(c, s)| (c.clone(), *s))
        .collect();
    shares::split_for(route.original(), &managed, &shares, route.start.limits)
}

/// Returns the share step that is in effect at `step`: the last share step up to and including `step`.
pub fn share_step_at(plan: &Plan, step: usize) -> Option<(usize, &Shares)> {
    plan.strategy.steps.iter().take(step).rev().find_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some((s.number, shares)),
        _ => None,
    })
}

/// Returns the first share step at or after `step`.
pub fn next_share_step(plan: &Plan, step: usize) -> Option<(usize, &Shares)> {
    plan.strategy.steps.iter().skip(step.saturating_sub(1)).find_map(|s| match &s.kind {
        StepKind::Shares(shares) => Some((s.number, shares)),
        _ => None,
    })
}

/// Returns the shares of the groups outside the plan that get requests of a route, in percent of all its requests, by
/// the ARN of the group.
pub fn outside_shares(route: &Route, split: &Split) -> BTreeMap<String, f64> {
    let total = split.total_traffic();
    #[allow(clippy::cast_precision_loss)] // weights are small
    let share = |arn: &str| split.traffic(arn) as f64 * 100.0 / total as f64;
    let is_outside = |arn: &&String| !route.start.groups.values().any(|own| own == *arn);
    let outside = split.ids().filter(is_outside).filter(|arn| split.traffic(arn) > 0);
    outside.map(|arn| (arn.clone(), share(arn))).collect()
}

/// Returns the target split of a route after `step`.
pub fn after_step(plan: &Plan, started: &Started, route: &Route, step: usize) -> Result<Split, ShareError> {
    if let Some((_, shares)) = share_step_at(plan, step).filter(|(number, _)| *number >= started.from_step) {
        return with_shares(plan, started, route, shares);
    }
    let bound =
        plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind && (started.from_step..=step).contains(&s.number));
    Ok(if bound { with_new_groups(plan, started, route) } else { route.original().clone() })
}

fn with_new_groups(plan: &Plan, started: &Started, route: &Route) -> Split {
    let groups = managed(plan, started.start.as_ref(), route);
    let arns: Vec<_> = groups.iter().map(|(_, arn)| arn.as_str()).collect();
    route.original().attach(&arns)
}

/// Returns the target split of a route after a rollback: the original shares. The plan's groups that are attached now
/// stay attached at weight 0. If stickiness must be broken, the groups without a share at the start are detached.
pub fn after_rollback(
    plan: &Plan,
    state: &State,
    route: &Route,
    rollback: &Rollback,
    live: &Split,
) -> Result<Split, ShareError> {
    if let Some((_, shares)) = rollback.to_step.and_then(|step| share_step_at(plan, step)) {
        return with_shares(plan, &state.started, route, shares);
    }
    if let Some(ramp) = rollback.unfinished_stage()
        && let Some(part) = at_rollback_stage(state, route, ramp, live)
    {
        return Ok(part);
    }
    let start = restored_split(plan, state, route, live)?;
    let idle: Vec<_> =
        route.start.groups.values().map(String::as_str).filter(|arn| start.weight(arn).unwrap_or(0) == 0).collect();
    if breaks_stickiness(plan, state, route, rollback) {
        return Ok(start.detach(&idle).unwrap_or(start));
    }
    let still_attached: Vec<_> = idle.into_iter().filter(|arn| live.weight(arn).is_some()).collect();
    Ok(start.attach(&still_attached))
}

/// Returns the target split for a stage of the rollback: the stage is a percentage of the way from the split before the
/// rollback to the restored split; `None` means to restore everything, because the route has no shares to restore or
/// its split before the rollback is unknown. If the weights cannot express a stage, the route is not changed in this
/// stage.
fn at_rollback_stage(state: &State, route: &Route, ramp: &RampProgress, live: &Split) -> Option<Split> {
    let split_at_start = ramp.from.get(&route.start.id)?;
    let from = shares_of(route, split_at_start);
    let (restored, progress) = (restored_shares(state, route), f64::from(ramp.percent) / 100.0);
    let clusters: BTreeSet<_> = from.keys().chain(restored.keys()).collect();
    let of = |all: &BTreeMap<ClusterName, f64>, cluster: &str| all.get(cluster).copied().unwrap_or(0.0);
    if from.is_empty() || restored.is_empty() || clusters.iter().all(|c| (of(&from, c) - of(&restored, c)).abs() < 0.5)
    {
        return None;
    }
    let between = |c: &&ClusterName| ((*c).clone(), (of(&restored, c) - of(&from, c)).mul_add(progress, of(&from, c)));
    let shares = to_whole_percents(&clusters.iter().map(between).collect());
    // Another actor may have restored more than this stage restores. A stage never reverts this change.
    let now = shares_of(route, live);
    let would_revert = |c: &&ClusterName| {
        let (now, restored) = (of(&now, c), of(&restored, c));
        let share = shares.get(*c).copied().map_or(0.0, f64::from);
        share < now.min(restored) - 1.0 || share > now.max(restored) + 1.0
    };
    if !now.is_empty() && clusters.iter().any(would_revert) {
        return Some(live.clone());
    }
    let base = if other_members_changed(route, live) { live } else { route.original() };
    let attached: Vec<_> =
        route.start.groups.values().map(String::as_str).filter(|arn| live.weight(arn).is_some()).collect();
    Some(with_shares_in(route, base, &shares).map_or_else(|_| split_at_start.clone(), |split| split.attach(&attached)))
}

/// Rounds shares to whole percents that sum to 100, with the largest remainder method.
fn to_whole_percents(shares: &BTreeMap<ClusterName, f64>) -> Shares {
    let mut all: Vec<_> = shares.iter().map(|(c, share)| (c.clone(), share.max(0.0))).collect();
    all.sort_by(|(_, a), (_, b)| b.fract().total_cmp(&a.fract()));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 100
    let floor = |share: f64| share.floor() as u32;
    let mut missing = 100_u32.saturating_sub(all.iter().map(|(_, share)| floor(*share)).sum());
    let up = |(cluster, share): (ClusterName, f64)| {
        let more = u32::from(missing > 0);
        missing -= more;
        (cluster, floor(share) + more)
    };
    all.into_iter().map(up).collect()
}

/// Returns a split with these shares in which all other members keep their weights of `live`.
fn with_shares_in(route: &Route, live: &Split, shares: &Shares) -> Result<Split, ShareError> {
    let used = route
        .start
        .groups
        .iter()
        .filter(|(c, arn)| live.weight(arn).is_some() || shares.get(*c).is_some_and(|s| *s > 0));
    let managed: Vec<_> = used.map(|(c, arn)| (c.clone(), arn.clone())).collect();
    let shares =
        shares.iter().filter(|(c, _)| managed.iter().any(|(m, _)| m == *c)).map(|(c, s)| (c.clone(), *s)).collect();
    shares::split_for(live, &managed, &shares, route.start.limits)
}

/// Returns why a rollback to an earlier step would raise a share: on some route a cluster would get a larger share than
/// now and than at the start. `None` if the rollback would raise no share.
pub fn raise_by_rollback(plan: &Plan, state: &State, step: usize) -> Option<String> {
    let (number, shares) = share_step_at(plan, step)?;
    state.routes.values().filter(|r| !r.is_deleted()).find_map(|route| {
        let live = route.drifted_content().and_then(RouteContent::forward_split).unwrap_or(route.split());
        let (now, before) = (shares_of(route, live), restored_shares(state, route));
        let of = |all: &BTreeMap<ClusterName, f64>, cluster: &str| all.get(cluster).copied().unwrap_or(0.0);
        let more = |(cluster, share): &(&ClusterName, &u32)| {
            f64::from(**share) > of(&now, cluster).max(of(&before, cluster)) + 0.5
        };
        let (cluster, share) = shares.iter().find(more)?;
        let (label, has) = (&route.start.label, of(&now, cluster));
        Some(format!(
            "step {number} gives {cluster} {share} %, but {cluster} has {has:.0} % on {label} now: that is a raise, \
             and a rollback checks no gates"
        ))
    })
}

/// Whether the distribution of the traffic differs, or may differ, from the start. Groups that were only attached at
/// weight 0 make no difference.
pub fn has_moved(state: &State) -> bool {
    let same = |route: &Route| shares_of(route, route.split()) == shares_of(route, route.original());
    state.routes.values().any(|r| r.drift.is_some() || r.open_writes.is_some() || !same(r))
}

/// Returns the shares that a rollback restores on a route, in percent.
pub fn restored_shares(state: &State, route: &Route) -> BTreeMap<ClusterName, f64> {
    let given = state.started.start.as_ref();
    given.map_or_else(
        || shares_of(route, route.original()),
        |shares| shares.iter().map(|(cluster, share)| (cluster.clone(), f64::from(*share))).collect(),
    )
}

/// Returns the split that a rollback restores. If another actor changed members that the plan does not name, the shares
/// are applied to the live split, because a rollback must not restore such members.
fn restored_split(plan: &Plan, state: &State, route: &Route, live: &Split) -> Result<Split, ShareError> {
    if let (true, Some(shares)) = (
        other_members_changed(route, live),
        state.started.start.clone().or_else(|| if_whole_percents(&shares_of(route, route.original()))),
    ) {
        return with_shares_in(route, live, &shares);
    }
    state
        .started
        .start
        .as_ref()
        .map_or_else(|| Ok(route.original().clone()), |shares| with_shares(plan, &state.started, route, shares))
}

/// Whether the members that the plan does not name have a different number or other relative weights than at the start of
/// the run.
fn other_members_changed(route: &Route, live: &Split) -> bool {
    let others = |split: &Split| -> BTreeMap<String, u64> {
        let own = |id: &String| route.start.groups.values().any(|g| g == id);
        split.ids().filter(|id| !own(id)).map(|id| (id.clone(), split.traffic(id))).collect()
    };
    let (others_before, others_now) = (others(route.original()), others(live));
    let (before, now) = (route.original().total_traffic(), live.total_traffic());
    // Compare the relative weights, because the totals may differ.
    others_before.len() != others_now.len()
        || !others_before.iter().all(|(id, w)| others_now.get(id).is_some_and(|v| w * now == v * before))
}

/// Returns the shares as whole percents if all shares are whole.
fn if_whole_percents(shares: &BTreeMap<ClusterName, f64>) -> Option<Shares> {
    let all: Shares = shares.iter().map(|(c, share)| (c.clone(), crate::domain::health::gate::ceil(*share))).collect();
    (all.values().sum::<u32>() == 100).then_some(all)
}

/// Whether this rollback detaches the groups without a share from the route, because cookies for them may exist.
pub fn breaks_stickiness(plan: &Plan, state: &State, route: &Route, rollback: &Rollback) -> bool {
    sticky_clients(plan, state, route) && may_break_stickiness(plan, rollback)
}

/// Whether this rollback is allowed to detach target groups from routes with sticky clients. For a requested rollback
/// the request says so, for an automatic rollback the plan.
pub fn may_break_stickiness(plan: &Plan, rollback: &Rollback) -> bool {
    rollback.to_step.is_none()
        && (rollback.break_stickiness
            || (rollback.automatic && plan.strategy.rollback_stickiness == RollbackStickiness::Break))
}

/// Returns the routes on which clients with a cookie may still go to a group that has no share after the rollback.
pub fn routes_with_cookies<'a>(
    plan: &'a Plan,
    state: &'a State,
    rollback: &Rollback,
) -> impl Iterator<Item = &'a Route> {
    let any = rollback.to_step.is_none() && !may_break_stickiness(plan, rollback);
    let attached = |route: &Route, arn: &str| route.split().weight(arn).is_some();
    state.routes.values().filter(move |route| {
        any && !route.is_deleted()
            && route.start.content.sticky().is_some()
            && groups_to_leave(plan, state, route).iter().any(|arn| attached(route, arn))
    })
}

/// Whether clients may have cookies for a group that had traffic before or during the run and that a rollback sets to
/// weight 0.
pub fn sticky_clients(plan: &Plan, state: &State, route: &Route) -> bool {
    route.start.content.sticky().is_some() && !groups_to_leave(plan, state, route).is_empty()
}

/// Returns the groups that had traffic before or during the run and that a rollback sets to weight 0.
fn groups_to_leave<'a>(plan: &Plan, state: &State, route: &'a Route) -> Vec<&'a str> {
    let carries = |id: &str| route.original().carries(id);
    // A rollback without a journal starts when the new groups have traffic.
    let at_start = route.start.content_at_start.as_ref().and_then(RouteContent::forward_split);
    let carried = |id: &str| carries(id) || at_start.is_some_and(|split| split.carries(id));
    let done = plan.strategy.steps.iter().take(state.step).skip(state.started.from_step - 1);
    let raised: Vec<_> =
        done.filter_map(|s| if let StepKind::Shares(shares) = &s.kind { Some(shares) } else { None }).collect();
    let leaves = |(cluster, arn): &(&ClusterName, &String)| {
        let start = state.started.start.as_ref();
        let stays = start.map_or(carries(arn), |start| start.get(*cluster).is_some_and(|share| *share > 0));
        !stays && (carried(arn) || raised.iter().any(|shares| shares.get(*cluster).is_some_and(|share| *share > 0)))
    };
    route.start.groups.iter().filter(leaves).map(|(_, arn)| arn.as_str()).collect()
}

/// Returns the shares of the managed groups in a split, in percent by cluster; empty if all these groups have weight 0.
pub fn shares_of(route: &Route, split: &Split) -> BTreeMap<ClusterName, f64> {
    let managed = shares::managed_shares(split, &route.start.groups).into_iter();
    managed.map(|(cluster, _, share)| (cluster.clone(), share)).collect()
}

/// Formats the shares of the plan's groups in a split, such as `a 95 %, b 5 %`.
pub fn shares_text(start: &RouteStart, split: &Split) -> String {
    let managed: Vec<_> = start.groups.iter().map(|(cluster, id)| (cluster.clone(), id.clone())).collect();
    let live = shares::live_shares(split, &managed).unwrap_or_default();
    if live.is_empty() {
        return "no traffic to the plan's groups".into();
    }
    live.iter().map(|(cluster, share)| format!("{cluster} {share:.0} %")).collect::<Vec<_>>().join(", ")
}
