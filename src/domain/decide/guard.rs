//! The guard, on every group that carries traffic, from its first share to the end of the run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::way_back::{self, way_back as ways};
use super::{Decision, metrics};
use crate::domain::decide::goal;
use crate::domain::elb::arn::short;
use crate::domain::health::gate::{self, Guard};
use crate::domain::run::event::GateKind;
use crate::domain::run::event::{Event, Freeze};
use crate::domain::run::state::{AUTOMATIC, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::Content;
use crate::plan::model::{OnFailure, Plan};

/// The groups that carry traffic now, or may, by a write that is still open: the largest share in percent that each has on any route.
pub fn carrying(state: &State) -> BTreeMap<&str, u32> {
    let mut all: BTreeMap<&str, u32> = BTreeMap::new();
    for route in state.routes.values().filter(|r| !r.gone()) {
        let live = route.changed().and_then(Content::forwards);
        for split in live.into_iter().chain([route.split()]).chain(route.open.iter().flat_map(|o| &o.sets)) {
            let shares = goal::shares_of(route, split);
            for (cluster, arn) in &route.start.groups {
                let share = gate::ceil(shares.get(cluster).copied().unwrap_or(0.0));
                if share > 0 {
                    let entry = all.entry(arn).or_default();
                    *entry = share.max(*entry);
                }
            }
        }
    }
    all
}

/// Healthy targets that the whole traffic of a group's routes needs: the larger of the baseline and today's, of the groups that carried it
/// at the start. (Counting the new groups as well would ask of them twice what the traffic needs.)
pub fn family_total(state: &State, watch: &Watch, group: &str) -> u32 {
    let routes = state.routes.values().filter(|r| r.start.groups.values().any(|arn| arn == group));
    let mut carriers: Vec<_> = routes.flat_map(|r| way_back::carriers(state, r)).collect();
    carriers.sort_unstable();
    carriers.dedup();
    let baseline: u32 = carriers.iter().filter_map(|arn| state.started.groups.get(*arn)).map(|g| g.healthy).sum();
    let today: u32 = carriers.iter().filter_map(|arn| watch.healthy(arn)).sum();
    baseline.max(today)
}

/// What the guard says of one group.
fn judge(plan: &Plan, state: &State, watch: &Watch, group: &str, share: u32, now: Timestamp) -> Guard {
    if watch.unreadable.contains_key(group) {
        return Guard::Unknown;
    }
    let gates = &plan.strategy.gates;
    gate::guard(watch.of(group), &gates.guard, share, family_total(state, watch, group), gates.raise.capacity, now)
}

/// What the guard says of every group that carries traffic, with its share.
pub(super) fn groups<'a>(plan: &Plan, state: &'a State, watch: &Watch, now: Timestamp) -> Vec<(&'a str, u32, Guard)> {
    carrying(state).into_iter().map(|(group, share)| (group, share, judge(plan, state, watch, group, share, now))).collect()
}

/// Acts on a failed guard; `None` where every guard holds or has been acted upon.
pub fn decide(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Option<Decision> {
    for (group, _, verdict) in groups(plan, state, watch, now) {
        let Guard::Failed(why) = verdict else { continue };
        let message = format!("{} {why}", short(group));
        let cluster = state.started.groups.get(group).map_or("", |g| g.cluster.as_str());
        let decision = if started_on(state, cluster) { trouble(state, message) } else { failed(plan, state, watch, group, message) };
        if decision.is_some() {
            return decision;
        }
    }
    let (gate, why) = metrics::failed(plan, state, watch, now)?;
    failed(plan, state, watch, "", format!("gate {gate}: {why}"))
}

/// Whether a cluster is the one that rollbacks return to.
fn started_on(state: &State, cluster: &str) -> bool {
    let carries =
        |route: &Route| way_back::carriers(state, route).iter().any(|arn| route.start.groups.get(cluster).is_some_and(|own| own == arn));
    state.routes.values().any(carries)
}

/// Trouble on the old side never causes a rollback: freeze, and say so.
fn trouble(state: &State, message: String) -> Option<Decision> {
    if state.frozen.is_some() || state.overruled {
        return None;
    }
    let message = format!("{message}; this is the side that a rollback returns to, so nothing is moved");
    Some(Decision::Record(vec![Event::Frozen { reason: Freeze::FromInTrouble, message }]))
}

fn failed(plan: &Plan, state: &State, watch: &Watch, group: &str, message: String) -> Option<Decision> {
    let frozen = state.frozen.as_ref().map(|frozen| frozen.reason);
    let failure = Event::GateFailed { gate: GateKind::Guard, group: group.into(), message: message.clone() };
    if plan.strategy.on_failure == OnFailure::Pause {
        let again = frozen == Some(Freeze::GuardFailed);
        return (!again).then(|| Decision::Record(vec![failure, Event::Frozen { reason: Freeze::GuardFailed, message }]));
    }
    match back(state, watch, message) {
        Err(_) if frozen == Some(Freeze::NoWayBack) => None,
        Err(freeze) => Some(Decision::Record(vec![failure, freeze])),
        Ok(events) => Some(Decision::Record([vec![failure], events].concat())),
    }
}

/// The automatic rollback, or why there is none: no route has a healthy target to go back to.
pub(super) fn back(state: &State, watch: &Watch, cause: String) -> Result<Vec<Event>, Event> {
    let open = state.routes.values().filter(|r| !r.gone());
    if state.routes.is_empty() || open.clone().all(|r| way_back::none(state, r, watch)) {
        let message = format!("{cause}; but the way back has no healthy target either, so the traffic stays where it is");
        return Err(Event::Frozen { reason: Freeze::NoWayBack, message });
    }
    let rollback = Event::RollbackStarted { cause, by: AUTOMATIC.into(), to_step: None, force: false, request: None };
    let weak = ways(state, watch).into_iter().find(|w| w.healthy.is_some_and(|h| h < w.baseline));
    let notice = weak.map(|w| Event::Notice {
        message: format!(
            "{} has {} of the {} healthy targets that it had at the start; the traffic goes back all the same",
            w.cluster,
            w.healthy.unwrap_or(0),
            w.baseline
        ),
        refused: None,
        request: None,
    });
    Ok([Some(rollback), notice].into_iter().flatten().collect())
}
