//! The raise gates: which groups a write raises, and whether they are ready for it. The guard of groups that carry
//! traffic is in `guard`.

use std::time::Duration;

use jiff::SignedDuration;

use super::context::Context;
use super::decision::{Batch, Decision};
use super::{carrying, failure, goal, guard, metrics};
use crate::base::duration;
use crate::base::hours::opened;
use crate::base::time::later;
use crate::domain::health::gate::{self, Raise};
use crate::domain::run::event::{Event, Freeze, GateKind, GroupStart, Trigger, Wait, WaitReason, Write};
use crate::domain::run::state::{Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::Split;
use crate::plan::model::{OnFailure, Plan, StepKind};

/// Whether the raise gates of the current step pass. A run that is frozen by a gate time-out waits for this.
pub fn hold(c: &Context<'_>) -> bool {
    let step = goal::coming(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    let healthy =
        first_raised(c.plan, c.state).iter().all(|group| gate_of(c, group, step, c.watch.gap()) == Raise::Holds);
    healthy && metrics::short(c).is_empty()
}

/// The result of a group's raise gate for a step, from samples that are at most `fresh` old.
pub fn gate_of(c: &Context<'_>, group: &str, step: usize, fresh: SignedDuration) -> Raise {
    let Some(start) = c.state.started.groups.get(group) else { return Raise::Unknown };
    if c.watch.unreadable.contains_key(group) {
        return Raise::Unknown;
    }
    let share = match goal::ruling(c.plan, step) {
        Some((_, shares)) => shares.get(&start.cluster).copied().unwrap_or(0),
        None => original(c.state, &start.cluster),
    };
    let zones = if start.cross_zone { Vec::new() } else { zones(start, c.watch, group) };
    let gate = &c.plan.strategy.gates.raise;
    let need =
        gate::need(gate, share, carrying::family_total(c, group), &zones, Duration::from_secs(start.interval.into()));
    match c.watch.replicas.get(group) {
        // With instance targets the targets are nodes; the pods that answer are the ready replicas.
        Some(ready) if *ready < need.healthy => {
            Raise::Short(format!("has {ready} ready replicas of the {} that {share} % needs", need.healthy))
        }
        _ => match (gate::raise(c.watch.of(group), &need, fresh, c.now), c.watch.ceilings.get(group)) {
            (Raise::Short(why), Some(max)) if *max < need.healthy => {
                Raise::Short(format!("{why}; its HPA stops at {max}"))
            }
            (raise, _) => raise,
        },
    }
}

/// The zones in which a group without cross-zone load balancing needs capacity: every zone of the load balancer, not
/// only those that have targets now. If AWS names no zones of targets (or `all`, for addresses outside the VPC), they
/// cannot be compared.
fn zones(start: &GroupStart, watch: &Watch, group: &str) -> Vec<String> {
    let seen: Vec<_> = watch.zones.get(group).into_iter().flatten().cloned().collect();
    if start.zones.is_empty() || seen.is_empty() || seen.iter().any(|z| z == "all") {
        seen
    } else {
        start.zones.clone()
    }
}

/// A cluster's share before the first share step: the largest that it has on any route, in percent.
fn original(state: &State, cluster: &str) -> u32 {
    let share =
        |route: &Route| goal::shares_of(route, route.original()).get(cluster).map_or(0, |share| gate::ceil(*share));
    state.routes.values().map(share).max().unwrap_or(0)
}

/// Requires the raise gates of these groups to pass, within the time-out; `None` if all pass.
pub fn raise(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = match lacking(c, groups, step)? {
        Decision::Wait(waits) => waits,
        look => return Some(look),
    };
    // The time-out does not run while a window is closed.
    let opened = opened(&c.plan.strategy.hours, c.now).filter(|_| c.state.step == step);
    let timeout =
        later(opened.map_or(c.state.gate_since, |at| at.max(c.state.gate_since)), c.plan.strategy.gates.timeout);
    if timeout > c.now {
        waits[0].until = waits[0].until.or(Some(timeout));
        return Some(Decision::Wait(waits));
    }
    Some(timed_out(c, groups, waits.swap_remove(0).message))
}

/// Requires the step's metric gates to pass, within the time-out; `None` if all pass.
pub fn gated(c: &Context<'_>) -> Option<Decision> {
    let mut waits = metrics::short(c);
    let first = waits.first_mut()?;
    // The time-out of a pause's gates starts when the pause is over.
    let bake = if let Some(StepKind::Bake(length)) = c.kind() { *length } else { Duration::ZERO };
    let timeout = later(later(c.state.gate_since, bake), c.plan.strategy.gates.timeout);
    if timeout > c.now {
        first.until = Some(timeout);
        return Some(Decision::Wait(waits));
    }
    let message = waits.swap_remove(0).message;
    Some(timed_out(c, &[], message))
}

/// What the raise gates of these groups still lack, or a request to read groups without recent samples; `None` if all
/// pass.
pub fn lacking(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = Vec::new();
    let mut stale = Vec::new();
    for group in groups {
        // Based on the last full observation; each write is judged again on a fresh sample ([`super::clear`]).
        match gate_of(c, group, step, c.watch.gap()) {
            Raise::Holds => {}
            Raise::Unknown if !c.watch.unreadable.contains_key(group) => stale.push(group.clone()),
            raise => waits.extend(why_not(c, group, raise)),
        }
    }
    if !stale.is_empty() {
        return Some(Decision::Look(stale));
    }
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

/// Why a raise of this group waits; `None` if its gate passes or has no recent sample.
pub fn why_not(c: &Context<'_>, group: &str, raise: Raise) -> Option<Wait> {
    let (message, until) = match raise {
        Raise::Unknown if c.watch.unreadable.contains_key(group) => (format!("{} cannot be read", c.name(group)), None),
        Raise::Since(until) => {
            (format!("{} is healthy enough, and must stay healthy for a while", c.name(group)), Some(until))
        }
        Raise::Short(why) => (format!("{} {why}", c.name(group)), None),
        Raise::Holds | Raise::Unknown => return None,
    };
    Some(Wait { reason: WaitReason::RaiseGate, message, until })
}

fn timed_out(c: &Context<'_>, groups: &[String], why: String) -> Decision {
    let message = format!("not ready within {}: {why}", duration::show(c.plan.strategy.gates.timeout));
    if c.plan.strategy.gates.on_timeout == OnFailure::Pause {
        return failure::frozen(Freeze::GateTimeout, message);
    }
    let failed = Event::GateFailed {
        gate: GateKind::Raise,
        group: groups.first().cloned().unwrap_or_default(),
        message: message.clone(),
    };
    Decision::Record(match guard::back(c, message, Trigger::Gate) {
        Ok(events) => [vec![failed], events].concat(),
        Err(freeze) => vec![failed, freeze],
    })
}

/// The groups whose share rises on any of these routes.
pub fn raised(state: &State, routes: &[(&Route, Split)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (route, set) in routes {
        let (now, then) = (goal::shares_of(route, &route.expected().split), goal::shares_of(route, set));
        let rises =
            |cluster: &str| then.get(cluster).copied().unwrap_or(0.0) > now.get(cluster).copied().unwrap_or(0.0) + 1e-9;
        all.extend(route.start.groups.iter().filter(|(c, _)| rises(c)).map(|(_, arn)| arn.clone()));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|arn| state.started.groups.contains_key(arn));
    all
}

/// The groups that the first share step to come raises.
pub fn first_raised(plan: &Plan, state: &State) -> Vec<String> {
    let Some((number, _)) = goal::coming(plan, state.step) else { return Vec::new() };
    let pairs: Vec<_> = state
        .routes
        .values()
        .filter_map(|r| goal::after(plan, &state.started, r, number).ok().map(|set| (r, set)))
        .collect();
    raised(state, &pairs)
}

/// A batch that writes these splits; `None` if there are no routes.
pub fn batch_over(state: &State, routes: Vec<(&Route, Split)>) -> Option<Decision> {
    let raises = raised(state, &routes);
    let writes: Vec<_> = routes
        .into_iter()
        .map(|(route, set)| Write { route: route.start.id.clone(), expect: Some(route.expected().split.clone()), set })
        .collect();
    (!writes.is_empty()).then_some(Decision::Write(Batch { restore: false, writes, raises }))
}
