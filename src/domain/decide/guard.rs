//! Evaluates the guard of every group that has traffic, from the first share of the group to the end of the run. Raise
//! gates are in `gates`.

use std::collections::BTreeSet;

use super::context::Context;
use super::decision::Decision;
use super::{carrying, metrics, way_back};
use crate::base::time::later;
use crate::domain::health::gate::{self, GuardVerdict};
use crate::domain::run::event::{Event, FreezeReason, GateKind, Trigger, Wait, WaitReason};
use crate::domain::run::state::{AUTOMATIC, Route, State};
use crate::plan::model::OnFailure;

/// Returns the guard's verdict on one group.
fn judge(c: &Context<'_>, group: &str, share: u32) -> GuardVerdict {
    if c.observed.unreadable.contains_key(group) {
        return GuardVerdict::Unknown;
    }
    let gates = &c.plan.strategy.gates;
    gate::guard(
        c.observed.samples_of(group),
        &gates.guard,
        share,
        carrying::targets_for_all_traffic(c, group),
        gates.raise.capacity,
        c.now,
    )
}

/// Returns every group that has traffic, with the group's share in percent and the guard's verdict on the group.
pub(super) fn verdicts<'a>(c: &Context<'a>) -> Vec<(&'a str, u32, GuardVerdict)> {
    verdicts_on(c, |_| true)
}

fn verdicts_on<'a>(c: &Context<'a>, is_judged: impl Fn(&str) -> bool) -> Vec<(&'a str, u32, GuardVerdict)> {
    let carrying = c.state.groups_with_traffic();
    // A header rule sends some requests to its group, whatever the shares are.
    let header: BTreeSet<_> = c.state.header_rules.live().filter_map(|(rule, _)| rule.rule.group()).collect();
    let header = header.into_iter().filter(|group| !carrying.contains_key(*group)).map(|group| (group, 0));
    let all = carrying.iter().map(|(group, share)| (group.as_str(), *share)).chain(header);
    let judged = all.filter(|(group, _)| is_judged(group));
    judged.map(|(group, share)| (group, share, judge(c, group, share))).collect()
}

/// Returns the groups whose guard fails, but not for long enough. One more reading decides. Only groups for which
/// `is_judged` is true are judged.
pub fn failing_groups(c: &Context<'_>, is_judged: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let verdicts = verdicts_on(c, is_judged).into_iter();
    let failing = verdicts.filter(|(_, _, verdict)| matches!(verdict, GuardVerdict::Failing(..)));
    failing.map(|(group, _, _)| group.to_owned()).collect()
}

/// Reacts to a failed guard; `None` if every guard passes or the reaction to the failure was already decided.
pub fn decide(c: &Context<'_>) -> Option<Decision> {
    for (group, _, verdict) in verdicts(c) {
        let GuardVerdict::Failed(why) = verdict else { continue };
        let message = format!("{} {why}", c.name(group));
        let cluster = c.state.started.groups.get(group).map_or("", |g| g.cluster.as_str());
        let decision = if receives_rollback(c.state, cluster) {
            freeze_for_old_cluster(c.state, message)
        } else {
            react_to_failure(c, group, message)
        };
        if decision.is_some() {
            return decision;
        }
    }
    let (gate, why) = metrics::failed_guard(c)?;
    react_to_failure(c, "", format!("gate {gate}: {why}"))
}

/// Whether a rollback returns traffic to this cluster.
pub(super) fn receives_rollback(state: &State, cluster: &str) -> bool {
    let carries = |route: &Route| {
        state
            .groups_after_rollback(route)
            .iter()
            .any(|arn| route.start.groups.get(cluster).is_some_and(|own| own == arn))
    };
    state.routes.values().any(carries)
}

/// Freezes the run because the old cluster is unhealthy, which never causes a rollback.
fn freeze_for_old_cluster(state: &State, message: String) -> Option<Decision> {
    if state.frozen.is_some() || state.resumed_despite_from {
        return None;
    }
    let message = format!("{message}; a rollback would return traffic to this cluster, so no traffic is moved");
    Some(Decision::Record(vec![Event::Frozen { reason: FreezeReason::FromUnhealthy, message }]))
}

fn react_to_failure(c: &Context<'_>, group: &str, message: String) -> Option<Decision> {
    let frozen = c.state.frozen.as_ref().map(|frozen| frozen.reason);
    let failure = Event::GateFailed { gate: GateKind::Guard, group: group.into(), message: message.clone() };
    if c.plan.strategy.on_failure == OnFailure::Pause {
        let again = frozen == Some(FreezeReason::GuardFailed);
        return (!again)
            .then(|| Decision::Record(vec![failure, Event::Frozen { reason: FreezeReason::GuardFailed, message }]));
    }
    match automatic_rollback(c, message, Trigger::Gate) {
        Err(_) if frozen == Some(FreezeReason::NoWayBack) => None,
        Err(freeze) => Some(Decision::Record(vec![failure, freeze])),
        Ok(events) => Some(Decision::Record([vec![failure], events].concat())),
    }
}

/// Returns the events of an automatic rollback. The error is an event that freezes the run, because the old cluster has
/// no healthy target on any route.
pub(super) fn automatic_rollback(c: &Context<'_>, cause: String, trigger: Trigger) -> Result<Vec<Event>, Event> {
    if way_back::refuses_rollback(c.state, c.observed) {
        let message =
            format!("{cause}; but the old cluster has no healthy target for a rollback either, so no traffic is moved");
        return Err(Event::Frozen { reason: FreezeReason::NoWayBack, message });
    }
    let rollback = Event::RollbackStarted {
        cause,
        by: AUTOMATIC.into(),
        trigger,
        to_step: None,
        force: false,
        break_stickiness: false,
        request: None,
    };
    let weak = way_back(c.state, c.observed).into_iter().find(|w| w.healthy.is_some_and(|h| h < w.baseline));
    let notice = weak.map(|w| Event::Notice {
        message: format!(
            "{} has only {} healthy targets, {} at the start; the rollback starts anyway",
            w.cluster,
            w.healthy.unwrap_or(0),
            w.baseline
        ),
        refused: None,
        request: None,
    });
    Ok([Some(rollback), notice].into_iter().flatten().collect())
}

/// Returns the guards that fail, but not yet for the time `for`, as waits to display.
pub fn failing_waits(c: &Context<'_>) -> Vec<Wait> {
    let bound = c.plan.strategy.gates.guard.for_;
    let groups = verdicts(c).into_iter();
    let failing = groups.filter_map(|(group, _, g)| match g {
        GuardVerdict::Failing(since, why) => Some(Wait {
            reason: WaitReason::GuardFailing,
            message: format!("{} {why}", c.name(group)),
            until: Some(later(since, bound)),
        }),
        _ => None,
    });
    failing.collect()
}
