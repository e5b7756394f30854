//! Evaluates the raise gates: which groups a write raises, and whether these groups are ready. The guard of groups that
//! have traffic is in `guard`.

use std::time::Duration;

use jiff::SignedDuration;

use super::context::Context;
use super::decision::{Batch, Decision};
use super::{carrying, desired_split, failure, guard, metrics};
use crate::base::duration;
use crate::base::hours::open_since;
use crate::base::time::later;
use crate::domain::health::gate::{self, RaiseNeed, RaiseVerdict};
use crate::domain::run::event::{Event, FreezeReason, GateKind, GroupStart, Trigger, Wait, WaitReason, Write};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::Split;
use crate::plan::model::{OnFailure, Plan, StepKind};

/// Whether the raise gates of the current step pass. A run that is frozen by a gate time-out waits until the gates
/// pass.
pub fn all_pass(c: &Context<'_>) -> bool {
    let step = desired_split::next_share_step(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    let healthy = first_raised_groups(c.plan, c.state)
        .iter()
        .all(|group| raise_verdict(c, group, step, c.observed.max_gap()) == RaiseVerdict::Holds);
    healthy && metrics::unmet_metric_gates(c).is_empty()
}

/// Returns the result of a group's raise gate for a step, from samples that are at most `fresh` old.
pub fn raise_verdict(c: &Context<'_>, group: &str, step: usize, fresh: SignedDuration) -> RaiseVerdict {
    let Some(start) = c.state.started.groups.get(group) else { return RaiseVerdict::Unknown };
    if c.observed.unreadable.contains_key(group) {
        return RaiseVerdict::Unknown;
    }
    let need = raise_need(c, group, start, step);
    match c.observed.replicas.get(group) {
        // Instance targets are nodes, so the ready replicas are counted instead, which are the pods that respond.
        Some(ready) if *ready < need.healthy => RaiseVerdict::Shortfall(format!(
            "has {ready} ready replicas of the {} that {} % needs",
            need.healthy, need.share
        )),
        _ => match (
            gate::raise(c.observed.samples_of(group), &need, fresh, c.now),
            c.observed.autoscaler_limits.get(group),
        ) {
            (RaiseVerdict::Shortfall(why), Some(max)) if *max < need.healthy => {
                RaiseVerdict::Shortfall(format!("{why}; the HPA has `maxReplicas` {max}"))
            }
            (raise, _) => raise,
        },
    }
}

/// Returns what the raise gate of a step requires of a group.
fn raise_need(c: &Context<'_>, group: &str, start: &GroupStart, step: usize) -> RaiseNeed {
    let share = match desired_split::share_step_at(c.plan, step) {
        Some((_, shares)) => shares.get(&start.cluster).copied().unwrap_or(0),
        None => original_share(c.state, &start.cluster),
    };
    let zones = if start.cross_zone { Vec::new() } else { zones(start, c.observed, group) };
    let gate = &c.plan.strategy.gates.raise;
    gate::need(
        gate,
        share,
        carrying::targets_for_all_traffic(c, group),
        &zones,
        Duration::from_secs(start.interval.into()),
    )
}

/// Describes the settings that require more targets than the groups have registered; empty if the groups have enough.
fn too_few_targets(c: &Context<'_>, groups: &[String], step: usize) -> String {
    let gate = &c.plan.strategy.gates.raise;
    let short = groups.iter().find_map(|group| {
        let need = raise_need(c, group, c.state.started.groups.get(group)?, step);
        let registered = c.observed.samples_of(group).back()?.registered();
        let limited = c.observed.autoscaler_limits.get(group).is_some_and(|max| *max < need.healthy);
        (registered < need.healthy && !limited).then_some((registered, need))
    });
    let Some((registered, need)) = short else { return String::new() };
    if registered == 0 {
        return "; no target is registered".to_owned();
    }
    let setting = if need.healthy > gate.min_healthy {
        format!(
            "lower `gates.targetHealth.raise.capacity` ({}) if one new target replaces several old ones",
            gate.capacity
        )
    } else {
        format!("lower `gates.targetHealth.raise.minHealthy` ({})", gate.min_healthy)
    };
    format!(
        "; {} registered: add targets, or {setting}",
        if registered == 1 { "only 1 is".to_owned() } else { format!("only {registered} are") }
    )
}

/// Returns the zones in which a group without cross-zone load balancing needs capacity: all zones of the load balancer.
/// If AWS reports no zones of the targets, or `all` for addresses outside of the VPC, returns these zones instead.
fn zones(start: &GroupStart, watch: &Observed, group: &str) -> Vec<String> {
    let target_zones: Vec<_> = watch.zones.get(group).into_iter().flatten().cloned().collect();
    if start.zones.is_empty() || target_zones.is_empty() || target_zones.iter().any(|z| z == "all") {
        target_zones
    } else {
        start.zones.clone()
    }
}

/// Returns a cluster's share before the first share step: the largest share on any route, in percent.
fn original_share(state: &State, cluster: &str) -> u32 {
    let share = |route: &Route| {
        desired_split::shares_of(route, route.original()).get(cluster).map_or(0, |share| gate::ceil(*share))
    };
    state.routes.values().map(share).max().unwrap_or(0)
}

/// Requires the raise gates of these groups to pass, within the time-out; `None` if all pass.
pub fn require_raise_gates(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = match unmet_raise_gates(c, groups, step)? {
        Decision::Wait(waits) => waits,
        other => return Some(other),
    };
    // The time-out does not run while a window is closed.
    let opened = open_since(&c.plan.strategy.hours, c.now).filter(|_| c.state.step == step);
    let timeout = later(
        opened.map_or(c.state.gate_timeout_since, |at| at.max(c.state.gate_timeout_since)),
        c.plan.strategy.gates.timeout,
    );
    if timeout > c.now {
        waits[0].until = waits[0].until.or(Some(timeout));
        return Some(Decision::Wait(waits));
    }
    let why = waits.swap_remove(0).message + &too_few_targets(c, groups, step);
    Some(gate_timed_out(c, groups, why))
}

/// Requires the step's metric gates to pass, within the time-out; `None` if all pass.
pub fn require_metric_gates(c: &Context<'_>) -> Option<Decision> {
    let mut waits = metrics::unmet_metric_gates(c);
    let first = waits.first_mut()?;
    // The time-out of the gates of a bake starts at the end of the bake.
    let bake = if let Some(StepKind::Bake(length)) = c.step_kind() { *length } else { Duration::ZERO };
    let timeout = later(later(c.state.gate_timeout_since, bake), c.plan.strategy.gates.timeout);
    if timeout > c.now {
        first.until = Some(timeout);
        return Some(Decision::Wait(waits));
    }
    let message = waits.swap_remove(0).message;
    Some(gate_timed_out(c, &[], message))
}

/// Returns why raise gates of these groups do not pass, or a decision to read groups without recent samples; `None` if
/// all gates pass.
pub fn unmet_raise_gates(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = Vec::new();
    let mut stale = Vec::new();
    for group in groups {
        // This check uses the last full observation. Each write is judged again on a fresh sample
        // (`super::judge_chunk`).
        match raise_verdict(c, group, step, c.observed.max_gap()) {
            RaiseVerdict::Holds => {}
            RaiseVerdict::Unknown if !c.observed.unreadable.contains_key(group) => stale.push(group.clone()),
            raise => waits.extend(raise_wait(c, group, raise)),
        }
    }
    if !stale.is_empty() {
        return Some(Decision::ReadHealth(stale));
    }
    if waits.is_empty() { None } else { Some(Decision::Wait(summed_up(waits))) }
}

/// The maximum number of waits of one kind. A run of a thousand groups would journal a thousand waits with each change.
const MAX_WAITS: usize = 20;

/// Replaces all waits after the first [`MAX_WAITS`] by one wait with their number.
fn summed_up(mut waits: Vec<Wait>) -> Vec<Wait> {
    let rest = waits.split_off(waits.len().min(MAX_WAITS));
    if !rest.is_empty() {
        // If the end of one wait is unknown, the end of all is unknown.
        let until = rest.iter().map(|wait| wait.until).min().flatten();
        let until = until.and_then(|_| rest.iter().filter_map(|wait| wait.until).max());
        let message = format!("{} more target groups are not ready", rest.len());
        waits.push(Wait { reason: WaitReason::RaiseGate, message, until });
    }
    waits
}

/// Returns why the share of this group cannot be raised yet; `None` if the gate passes or has no recent sample.
pub fn raise_wait(c: &Context<'_>, group: &str, raise: RaiseVerdict) -> Option<Wait> {
    let (message, until) = match raise {
        RaiseVerdict::Unknown if c.observed.unreadable.contains_key(group) => {
            (format!("{} cannot be read", c.name(group)), None)
        }
        RaiseVerdict::NotBefore(until) => {
            (format!("{} is healthy enough, and must stay healthy for a while", c.name(group)), Some(until))
        }
        RaiseVerdict::Shortfall(why) => (format!("{} {why}", c.name(group)), None),
        RaiseVerdict::Holds | RaiseVerdict::Unknown => return None,
    };
    Some(Wait { reason: WaitReason::RaiseGate, message, until })
}

fn gate_timed_out(c: &Context<'_>, groups: &[String], why: String) -> Decision {
    let mut states = groups.iter().filter_map(|group| c.observed.samples_of(group).back()).map(gate::state_list);
    let states = states.find(|states| !states.is_empty()).unwrap_or_default();
    let timeout = duration::format_exact(c.plan.strategy.gates.timeout);
    let message = format!("not ready within {timeout}: {why}{states}");
    if c.plan.strategy.gates.on_timeout == OnFailure::Pause {
        return failure::freeze(FreezeReason::GateTimeout, message);
    }
    let failed = Event::GateFailed {
        gate: GateKind::Raise,
        group: groups.first().cloned().unwrap_or_default(),
        message: message.clone(),
    };
    Decision::Record(match guard::automatic_rollback(c, message, Trigger::Gate) {
        Ok(events) => [vec![failed], events].concat(),
        Err(freeze) => vec![failed, freeze],
    })
}

/// Returns the groups whose share is raised on any of these routes.
pub fn raised_groups(state: &State, routes: &[(&Route, Split)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (route, set) in routes {
        let (now, then) =
            (desired_split::shares_of(route, &route.expected().split), desired_split::shares_of(route, set));
        let is_raised =
            |cluster: &str| then.get(cluster).copied().unwrap_or(0.0) > now.get(cluster).copied().unwrap_or(0.0) + 1e-9;
        all.extend(route.start.groups.iter().filter(|(c, _)| is_raised(c)).map(|(_, arn)| arn.clone()));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|arn| state.started.groups.contains_key(arn));
    all
}

/// Returns the groups that the next share step raises.
pub fn first_raised_groups(plan: &Plan, state: &State) -> Vec<String> {
    let Some((number, _)) = desired_split::next_share_step(plan, state.step) else { return Vec::new() };
    let pairs: Vec<_> = state
        .routes
        .values()
        .filter_map(|r| desired_split::after_step(plan, &state.started, r, number).ok().map(|set| (r, set)))
        .collect();
    raised_groups(state, &pairs)
}

/// Returns a batch that writes these splits; `None` if there are no routes.
pub fn batch_over(state: &State, routes: Vec<(&Route, Split)>) -> Option<Decision> {
    let raises = raised_groups(state, &routes);
    let writes: Vec<_> = routes
        .into_iter()
        .map(|(route, set)| Write { route: route.start.id.clone(), expect: Some(route.expected().split.clone()), set })
        .collect();
    (!writes.is_empty()).then_some(Decision::Write(Batch {
        restore: false,
        writes,
        raised_groups: raises,
        header_rules: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn many_waits_are_summed_up() {
        let wait = |n: i64| Wait {
            reason: WaitReason::RaiseGate,
            message: format!("g{n}"),
            until: Some(Timestamp::from_second(n).unwrap_or_default()),
        };
        let waits: Vec<_> = (0..1000).map(wait).collect();
        assert_eq!(summed_up(waits[..20].to_vec()), waits[..20]);
        let summed = summed_up(waits.clone());
        assert_eq!(summed[..20], waits[..20]);
        assert_eq!((summed.len(), summed[20].message.as_str()), (21, "980 more target groups are not ready"));
        assert_eq!(summed[20].until, waits[999].until);
        let unknown = Wait { until: None, ..waits[500].clone() };
        assert_eq!(summed_up([waits, vec![unknown]].concat())[20].until, None);
    }
}
