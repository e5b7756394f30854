//! A step is complete only after read-back, settling, and its commands and hooks; no guard acts before that. (A process
//! that takes over has only the machine's clock: if the clock was set forward, the settling is shorter by as much.)

use cutover::domain::run::event::{Event, GateKind, RouteStart, RunOutcome};
use cutover::domain::run::hook::HookPoint;
use cutover::plan::model::StepKind;
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};
use crate::simulation::route_actions;

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let EntryContent::Published(record) = &entry.what else { return Ok(()) };
    match &record.event {
        Event::StepDone { step } if matches!(facts.kind(*step), Some(StepKind::Exec(_))) => {
            check_hooks(facts, *step, &[HookPoint::Command])
        }
        Event::StepDone { step } if facts.shares(*step).is_some() => check_step_done(facts, entry, *step),
        Event::Finished { outcome, .. } => {
            let ran = *outcome == RunOutcome::Completed && !facts.detaching;
            check_hooks(facts, 0, if ran { &[HookPoint::BeforeFinish, HookPoint::AfterFinish] } else { &[] })?;
            check_read_back(facts, *outcome)
        }
        Event::RollbackStarted { trigger, .. } if trigger.is_automatic() => check_automatic_rollback(facts),
        Event::Ramped { percent, early } => check_next_stage(facts, entry, *percent, early.is_some()),
        _ => Ok(()),
    }
}

/// Checks that the hooks and commands of a step, or of the end of the run (step 0), have ended.
fn check_hooks(facts: &Facts, step: usize, occasions: &[HookPoint]) -> Found {
    facts
        .hooks
        .known
        .missing(&facts.plan, step, occasions)
        .map_or(Ok(()), |why| Err(format!("step {step} or the run is over, but a hook is missing: {why}")))
}

fn check_step_done(facts: &Facts, entry: &Entry, step: usize) -> Found {
    let Some(shares) = facts.shares(step) else { return Ok(()) };
    check_hooks(facts, step, &[HookPoint::BeforeShift, HookPoint::AfterShift])?;
    let settle = SignedDuration::try_from(facts.plan.strategy.longest_settle).unwrap_or_default();
    for route in facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id)) {
        // A late read that shows earlier content of the run is not a change by someone else.
        let confirmed = facts.right.contains_key(&route.id) && facts.foreign_content(&route.id).is_none();
        let seen = match facts.set.get(&route.id).filter(|_| confirmed) {
            Some(set) => Some(route_actions::from_content(&route.content.with_split(set))),
            None => facts.seen.get(&route.id).and_then(|s| s.live.as_ref()).map(route_actions::from_content),
        };
        if let Some(why) = facts.not_at(route, seen.as_ref(), shares) {
            return Err(format!("step {step} is done, but the read-back differs: {why}"));
        }
        let Some(applied) = facts.applied.get(&route.id) else { continue };
        let Some((right, by)) = facts.right.get(&route.id) else {
            return Err(format!(
                "step {step} is done, but {} was never read back since it was written at {applied}",
                route.label
            ));
        };
        // A process that took over knows only what the clock showed.
        let hurried = *by != facts.process && facts.hurried.is_some_and(|at| at >= *right);
        ensure(hurried || entry.at.duration_since(*right) >= settle, || {
            format!("step {step} is done at {}, but {} reads back as written only since {right}", entry.at, route.label)
        })?;
    }
    Ok(())
}

/// Checks that the next stage of a rollback begins after its wait and after a read of the health of the old groups. The
/// last stage may begin early if the new groups have no healthy target.
fn check_next_stage(facts: &Facts, entry: &Entry, percent: u32, early: bool) -> Found {
    let Some(way) = &facts.way else { return Err(format!("a stage of {percent} % without a rollback in stages")) };
    ensure(percent > way.published, || format!("a rollback stage of {percent} % after {} %", way.published))?;
    let last = |group: &String| facts.health.get(group).and_then(|all| all.last()).copied();
    if early {
        let dead = |route: &RouteStart| {
            let home: Vec<_> = facts.original_groups(route).collect();
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
            "the rollback skips stages, but the new groups have healthy targets".into()
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
    // A process that took over knows only what the clock showed.
    ensure(facts.hurried.is_some() || entry.at.duration_since(written) >= way.every, || {
        format!(
            "the rollback stage of {percent} % begins at {}, too soon after the stage before, written at {written}",
            entry.at
        )
    })?;
    for route in facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id) && facts.applied.contains_key(&r.id)) {
        // A route whose write AWS rejects does not block the others.
        ensure(facts.right.contains_key(&route.id) || facts.rejected.contains(&route.id), || {
            format!("the rollback stage of {percent} % begins, but {} was never read back", route.label)
        })?;
        for group in facts.original_groups(route) {
            let well = last(group)
                .is_some_and(|(requested_at, counts)| requested_at >= written && counts.is_some_and(|c| c.healthy > 0));
            ensure(well, || {
                format!(
                    "the rollback stage of {percent} % begins, but the last health of {group} is {:?}, and the last write was at {written}",
                    last(group)
                )
            })?;
        }
    }
    Ok(())
}

/// Checks that an automatic rollback has an observed cause: a group that is worse than its guard allows, or a command
/// that failed. Unreadable health is not a cause.
fn check_automatic_rollback(facts: &Facts) -> Found {
    if facts.failed.is_none() && facts.hooks.known.failed() {
        return Ok(());
    }
    let Some((gate, group)) = &facts.failed else { return Err("an automatic rollback, but no gate failed".into()) };
    let counts = facts.health.get(group).and_then(|all| all.last()).and_then(|(_, counts)| *counts);
    let counts =
        counts.ok_or_else(|| format!("an automatic rollback because of {group}, whose health could not be read"))?;
    let registered = counts.healthy + counts.unhealthy + counts.unavailable;
    let least = facts.plan.strategy.gates.guard.min_healthy_percent;
    let well = counts.healthy > 0 && f64::from(counts.healthy) * 100.0 >= least * f64::from(registered);
    ensure(*gate != GateKind::Guard || !well, || {
        format!("an automatic rollback because of {group}, whose health is good: {counts:?}")
    })
}

/// Checks that a run ends only after every route was read back after its last write.
fn check_read_back(facts: &Facts, outcome: RunOutcome) -> Found {
    // `finalize` leaves routes alone that someone else has changed.
    for route in facts.routes().iter().filter(|r| !facts.detaching || !facts.foreign.contains(&r.id)) {
        let Some(reading) = facts.read.get(&route.id) else {
            return Err(format!("{outcome:?}, but {} was not read", route.label));
        };
        let seen = reading.live.as_ref().map(route_actions::from_content);
        let wrong = match outcome {
            RunOutcome::Completed => facts.not_goal(route, seen.as_ref()),
            RunOutcome::RolledBack | RunOutcome::Aborted => facts.not_original(route, seen.as_ref()),
        };
        if let Some(why) = wrong {
            return Err(format!("{outcome:?}, but the last read differs: {why}"));
        }
        let before = facts.since.filter(|since| outcome != RunOutcome::Completed && reading.requested_at < *since);
        if let Some(since) = before {
            return Err(format!(
                "{outcome:?}, but {} was last read at {}, before the rollback began at {since}",
                route.label, reading.requested_at
            ));
        }
        let late = facts.applied.get(&route.id).is_some_and(|applied| *applied > reading.at);
        ensure(!late, || format!("{outcome:?}, but {} was written after it was last read", route.label))?;
    }
    Ok(())
}
