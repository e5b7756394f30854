//! The gates of a raise: which groups a write raises, and whether they can take it.

use std::time::Duration;

use jiff::SignedDuration;

use super::context::Context;
use super::decision::{Batch, Decision};
use super::{carrying, failure, goal, guard, metrics};
use crate::base::duration;
use crate::base::hours::opened;
use crate::base::time::later;
use crate::domain::health::gate::{self, Raise};
use crate::domain::run::event::{Event, Freeze, GateKind, GroupStart, Wait, WaitReason, Write};
use crate::domain::run::state::{Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::Split;
use crate::plan::model::{OnFailure, Plan, StepKind};

/// Whether the raise gates of the current step hold: what a frozen time-out waits for.
pub fn hold(c: &Context<'_>) -> bool {
    let step = goal::coming(c.plan, c.state.step).map_or(c.state.step, |(number, _)| number);
    let healthy =
        first_raised(c.plan, c.state).iter().all(|group| gate_of(c, group, step, c.watch.gap()) == Raise::Holds);
    healthy && metrics::short(c).is_empty()
}

/// What the raise gate of a group says of a step, on readings that are not older than `fresh`.
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
        // Targets are nodes: what answers behind them are the ready replicas.
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

/// The zones that must each hold their part of a group without cross-zone balancing: every one that the load balancer sends to, not only
/// those in which targets happen to be. Where AWS names no zones of targets (or `all`, for addresses outside the VPC), there is nothing to
/// compare them with.
fn zones(start: &GroupStart, watch: &Watch, group: &str) -> Vec<String> {
    let seen: Vec<_> = watch.zones.get(group).into_iter().flatten().cloned().collect();
    if start.zones.is_empty() || seen.is_empty() || seen.iter().any(|z| z == "all") {
        seen
    } else {
        start.zones.clone()
    }
}

/// A cluster's share of the traffic before the first share step: the largest that it has on any route, in percent.
fn original(state: &State, cluster: &str) -> u32 {
    let share =
        |route: &Route| goal::shares_of(route, route.original()).get(cluster).map_or(0, |share| gate::ceil(*share));
    state.routes.values().map(share).max().unwrap_or(0)
}

/// Holds the raise gates of these groups to a step, for as long as that may take; `None` where all hold.
pub fn raise(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = match lacking(c, groups, step)? {
        Decision::Wait(waits) => waits,
        look => return Some(look),
    };
    // While a window is closed nothing is late.
    let opened = opened(&c.plan.strategy.hours, c.now).filter(|_| c.state.step == step);
    let timeout =
        later(opened.map_or(c.state.gate_since, |at| at.max(c.state.gate_since)), c.plan.strategy.gates.timeout);
    if timeout > c.now {
        waits[0].until = waits[0].until.or(Some(timeout));
        return Some(Decision::Wait(waits));
    }
    Some(timed_out(c, groups, waits.swap_remove(0).message))
}

/// Holds the step to the metric gates that must pass, for as long as that may take; `None` where all do.
pub fn gated(c: &Context<'_>) -> Option<Decision> {
    let mut waits = metrics::short(c);
    let first = waits.first_mut()?;
    // The time of a pause is no time in which its gates were asked to pass.
    let bake = if let Some(StepKind::Bake(length)) = c.kind() { *length } else { Duration::ZERO };
    let timeout = later(later(c.state.gate_since, bake), c.plan.strategy.gates.timeout);
    if timeout > c.now {
        first.until = Some(timeout);
        return Some(Decision::Wait(waits));
    }
    let message = waits.swap_remove(0).message;
    Some(timed_out(c, &[], message))
}

/// What the raise gates of these groups still lack for a step, or a look at those that were not seen lately; `None` where all hold.
pub fn lacking(c: &Context<'_>, groups: &[String], step: usize) -> Option<Decision> {
    let mut waits = Vec::new();
    let mut stale = Vec::new();
    for group in groups {
        // On the last look at everything; what is written is judged again, on a fresh reading ([`super::clear`]).
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

/// Why a raise of this group waits; `None` where its gate holds, or was not looked at lately enough to say.
pub fn why_not(c: &Context<'_>, group: &str, raise: Raise) -> Option<Wait> {
    let (message, until) = match raise {
        Raise::Unknown if c.watch.unreadable.contains_key(group) => (format!("{} cannot be read", c.name(group)), None),
        Raise::Since(until) => {
            (format!("{} is healthy enough, and must stay so for a while", c.name(group)), Some(until))
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
    Decision::Record(match guard::back(c, message) {
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

/// A batch that moves these routes from what is known to what is wanted; `None` where there are none.
pub fn batch_over(state: &State, routes: Vec<(&Route, Split)>) -> Option<Decision> {
    let raises = raised(state, &routes);
    let writes: Vec<_> = routes
        .into_iter()
        .map(|(route, set)| Write { route: route.start.id.clone(), expect: Some(route.expected().split.clone()), set })
        .collect();
    (!writes.is_empty()).then_some(Decision::Write(Batch { restore: false, writes, raises }))
}
