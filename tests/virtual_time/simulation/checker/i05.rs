//! A step is complete only after read-back and settle, and its commands and hooks; nothing is judged before. (A process
//! that takes over has the machine's clock only: one that was set forward meanwhile shortens the settling by as much.)

use cutover::domain::run::event::{Event, GateKind, RouteStart, RunOutcome};
use cutover::domain::run::hook::HookPoint;
use cutover::plan::model::StepKind;
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::face;
use crate::simulation::history::{Entry, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Told(record) = &entry.what else { return Ok(()) };
    match &record.event {
        Event::StepDone { step } if matches!(facts.kind(*step), Some(StepKind::Exec(_))) => {
            hooked(facts, *step, &[HookPoint::Command])
        }
        Event::StepDone { step } if facts.shares(*step).is_some() => complete(facts, entry, *step),
        Event::Finished { outcome, .. } => {
            let ran = *outcome == RunOutcome::Completed && !facts.detaching;
            hooked(facts, 0, if ran { &[HookPoint::BeforeFinish, HookPoint::AfterFinish] } else { &[] })?;
            read_back(facts, *outcome)
        }
        Event::RollbackStarted { trigger, .. } if trigger.is_automatic() => judged(facts),
        Event::Ramped { percent, early } => next_part(facts, entry, *percent, early.is_some()),
        _ => Ok(()),
    }
}

/// The hooks and commands of a step, or of the end (0), have ended.
fn hooked(facts: &Facts, step: usize, occasions: &[HookPoint]) -> Found {
    facts.deeds.told.missing(&facts.plan, step, occasions).map_or(Ok(()), |why| Err(format!("it is over, but {why}")))
}

fn complete(facts: &Facts, entry: &Entry, step: usize) -> Found {
    let Some(shares) = facts.shares(step) else { return Ok(()) };
    hooked(facts, step, &[HookPoint::BeforeShift, HookPoint::AfterShift])?;
    let settle = SignedDuration::try_from(facts.plan.strategy.settle).unwrap_or_default();
    for route in facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id)) {
        // A late read, which shows what stood there before, is not one of someone else's change.
        let confirmed = facts.right.contains_key(&route.id) && facts.stranger(&route.id).is_none();
        let seen = match facts.set.get(&route.id).filter(|_| confirmed) {
            Some(set) => Some(face::typed(&route.content.with_split(set))),
            None => facts.seen.get(&route.id).and_then(|s| s.live.as_ref()).map(face::typed),
        };
        if let Some(why) = facts.not_at(route, seen.as_ref(), shares) {
            return Err(format!("step {step} is done, but read back: {why}"));
        }
        let Some(applied) = facts.applied.get(&route.id) else { continue };
        let Some((right, by)) = facts.right.get(&route.id) else {
            return Err(format!(
                "step {step} is done, but {} was never read back since it was written at {applied}",
                route.label
            ));
        };
        // All that another process knows is what the clock showed.
        let hurried = *by != facts.process && facts.hurried.is_some_and(|at| at >= *right);
        ensure(hurried || entry.at.duration_since(*right) >= settle, || {
            format!("step {step} is done at {}, but {} reads back right only since {right}", entry.at, route.label)
        })?;
    }
    Ok(())
}

/// The next part of a way back begins after its time, with a look at those who are to take it; or all of it at once,
/// where nobody serves what is away still.
fn next_part(facts: &Facts, entry: &Entry, percent: u32, early: bool) -> Found {
    let Some(way) = &facts.way else { return Err(format!("{percent} % of no way back")) };
    ensure(percent > way.told, || format!("{percent} % of the way back after {} %", way.told))?;
    let last = |group: &String| facts.health.get(group).and_then(|all| all.last()).copied();
    if early {
        let dead = |route: &RouteStart| {
            let home: Vec<_> = facts.home(route).collect();
            let carries = |group: &&String| {
                facts
                    .world
                    .get(&route.id)
                    .is_some_and(|f| f.as_ref().is_some_and(|f| f.weights.get(*group).is_some_and(|w| *w > 0)))
            };
            let none = |group: &String| last(group).is_some_and(|(_, counts)| counts.is_some_and(|c| c.healthy == 0));
            route.groups.values().filter(|g| !home.contains(g)).filter(carries).any(none)
        };
        return ensure(percent == 100 && facts.routes().iter().any(dead), || {
            "the way back is cut short, and nobody is dead".into()
        });
    }
    let written = facts
        .routes()
        .iter()
        .filter_map(|r| facts.applied.get(&r.id))
        .chain(&facts.since)
        .max()
        .copied()
        .unwrap_or(entry.at);
    // All that another process knows is what the clock showed.
    ensure(facts.hurried.is_some() || entry.at.duration_since(written) >= way.every, || {
        format!("{percent} % of the way back at {}, the part before it was written at {written}", entry.at)
    })?;
    for route in facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id) && facts.applied.contains_key(&r.id)) {
        // One that AWS rejects holds up no other.
        ensure(facts.right.contains_key(&route.id) || facts.rejected.contains(&route.id), || {
            format!("{percent} % of the way back, and {} was never read back", route.label)
        })?;
        for group in facts.home(route) {
            let well =
                last(group).is_some_and(|(asked, counts)| asked >= written && counts.is_some_and(|c| c.healthy > 0));
            ensure(well, || {
                format!(
                    "{percent} % of the way back, and {group} was last seen {:?}, written at {written}",
                    last(group)
                )
            })?;
        }
    }
    Ok(())
}

/// A rollback that comes by itself has a cause that was seen: a group that is worse than its guard allows, or a command
/// that failed. What could not be read is none.
fn judged(facts: &Facts) -> Found {
    if facts.failed.is_none() && facts.deeds.told.failed() {
        return Ok(());
    }
    let Some((gate, group)) = &facts.failed else { return Err("a rollback by itself, and no gate failed".into()) };
    let counts = facts.health.get(group).and_then(|all| all.last()).and_then(|(_, counts)| *counts);
    let counts = counts.ok_or_else(|| format!("a rollback because of {group}, which could not be read"))?;
    let registered = counts.healthy + counts.unhealthy + counts.unavailable;
    let least = facts.plan.strategy.gates.guard.min_healthy_percent;
    let well = counts.healthy > 0 && f64::from(counts.healthy) * 100.0 >= least * f64::from(registered);
    ensure(*gate != GateKind::Guard || !well, || format!("a rollback because of {group}, which has {counts:?}"))
}

/// The end of a run is told only where every route was read back right after whatever was last done to it.
fn read_back(facts: &Facts, outcome: RunOutcome) -> Found {
    // Of a cluster that is let go, what someone else has changed is left alone.
    for route in facts.routes().iter().filter(|r| !facts.detaching || !facts.foreign.contains(&r.id)) {
        let Some(sight) = facts.read.get(&route.id) else {
            return Err(format!("{outcome:?}, but {} was not read", route.label));
        };
        let seen = sight.live.as_ref().map(face::typed);
        let wrong = match outcome {
            RunOutcome::Completed => facts.not_goal(route, seen.as_ref()),
            RunOutcome::RolledBack | RunOutcome::Aborted => facts.not_original(route, seen.as_ref()),
        };
        if let Some(why) = wrong {
            return Err(format!("{outcome:?}, but last read: {why}"));
        }
        let before = facts.since.filter(|since| outcome != RunOutcome::Completed && sight.asked < *since);
        if let Some(since) = before {
            return Err(format!(
                "{outcome:?}, but {} was last read at {}, before the rollback began at {since}",
                route.label, sight.asked
            ));
        }
        let late = facts.applied.get(&route.id).is_some_and(|applied| *applied > sight.at);
        ensure(!late, || format!("{outcome:?}, but {} was written after it was last read", route.label))?;
    }
    Ok(())
}
