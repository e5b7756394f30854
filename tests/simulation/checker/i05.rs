//! A step is complete only after read-back and settle; nothing is judged before.

use cutover::domain::event::{Event, Outcome};
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::face;
use crate::history::{Entry, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Told(record) = &entry.what else { return Ok(()) };
    match &record.event {
        Event::StepDone { step } if facts.shares(*step).is_some() => complete(facts, entry, *step),
        Event::Finished { outcome, .. } => read_back(facts, *outcome),
        _ => Ok(()),
    }
}

fn complete(facts: &Facts, entry: &Entry, step: usize) -> Found {
    let Some(shares) = facts.shares(step) else { return Ok(()) };
    let settle = SignedDuration::try_from(facts.plan.strategy.settle).unwrap_or_default();
    for route in facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id)) {
        let seen = facts.seen.get(&route.id).and_then(|s| s.live.as_ref()).map(|l| face::typed(l));
        if let Some(why) = facts.not_at(route, seen.as_ref(), shares) {
            return Err(format!("step {step} is done, but read back: {why}"));
        }
        let Some(applied) = facts.applied.get(&route.id) else { continue };
        let Some(right) = facts.right.get(&route.id) else {
            return Err(format!("step {step} is done, but {} was never read back since it was written at {applied}", route.label));
        };
        ensure(entry.at.duration_since(*right) >= settle, || {
            format!("step {step} is done at {}, but {} reads back right only since {right}", entry.at, route.label)
        })?;
    }
    Ok(())
}

/// The end of a run is told only where every route was read back right after whatever was last done to it.
fn read_back(facts: &Facts, outcome: Outcome) -> Found {
    for route in facts.routes() {
        let Some(sight) = facts.seen.get(&route.id) else { return Err(format!("{outcome:?}, but {} was not read", route.label)) };
        let seen = sight.live.as_ref().map(|l| face::typed(l));
        let wrong = match outcome {
            Outcome::Completed => facts.not_goal(route, seen.as_ref()),
            Outcome::RolledBack | Outcome::Aborted => facts.not_original(route, seen.as_ref()),
        };
        if let Some(why) = wrong {
            return Err(format!("{outcome:?}, but last read: {why}"));
        }
        let late = facts.applied.get(&route.id).is_some_and(|applied| *applied > sight.at);
        ensure(!late, || format!("{outcome:?}, but {} was written after it was last read", route.label))?;
    }
    Ok(())
}
