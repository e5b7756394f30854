//! Decides what a `handOver` step does, and how a rollback takes its items back. The rules for items are in
//! `domain::hand_over`.

use super::context::Context;
use super::decision::Decision;
use super::failure;
use crate::domain::hand_over::{self, HandOver, ItemId, Next};
use crate::domain::run::event::{Event, Wait, WaitReason};
use crate::domain::run::state::{Rollback, State};
use crate::plan::model::{self, Plan, StepKind};

/// Returns the next decision of the current `handOver` step; `None` if all its items are handed over.
pub fn step(c: &Context<'_>, step: &model::HandOver) -> Option<Decision> {
    let items = items_of(c.state, c.state.step);
    // Time without a process does not count against the time for draining.
    let since = c.state.step_since.max(c.state.gate_timeout_since);
    match hand_over::forward(&input(c, c.state.step, step, &items, since)) {
        Next::Failed(why) => Some(failure::write_failed(c, why)),
        Next::Done(_) => None,
        next => decision(next),
    }
}

/// Returns the next decision that takes the items back, the step before the others that was done last; or the items
/// that are not back, each with the reason. A rollback to an earlier step leaves the items of that step and before.
pub fn back(c: &Context<'_>, rollback: &Rollback) -> Result<Vec<String>, Decision> {
    let mut left = Vec::new();
    // Each process tries for the whole time.
    let since = rollback.since.max(c.observed.since);
    for (number, step) in steps(c.plan).rev().filter(|(number, _)| *number > rollback.to_step.unwrap_or(0)) {
        let items = items_of(c.state, number);
        match hand_over::back(&input(c, number, step, &items, since)) {
            Next::Done(more) => left.extend(more),
            next => {
                if let Some(decision) = decision(next) {
                    return Err(decision);
                }
            }
        }
    }
    Ok(left.into_iter().map(|why| with_command(c.state, why)).collect())
}

/// Returns the numbers of the plan's `handOver` steps, and the steps.
pub fn steps(plan: &Plan) -> impl DoubleEndedIterator<Item = (usize, &model::HandOver)> {
    plan.strategy.steps.iter().filter_map(|step| match &step.kind {
        StepKind::HandOver(hand_over) => Some((step.number, hand_over)),
        _ => None,
    })
}

/// Returns the items of a step, as they were when the run started.
pub fn items_of(state: &State, step: usize) -> Vec<ItemId> {
    state.started.items.iter().filter(|start| start.step == step).map(|start| start.item.clone()).collect()
}

fn input<'a>(
    c: &Context<'a>,
    number: usize,
    step: &model::HandOver,
    items: &'a [ItemId],
    since: jiff::Timestamp,
) -> HandOver<'a> {
    HandOver {
        from: &c.state.started.from,
        to: &c.state.started.to,
        step: number,
        drain: step.drain,
        overlap: step.overlap,
        verify: step.verify,
        items,
        progress: &c.state.items,
        readings: &c.observed.items,
        since,
        now: c.now,
    }
}

fn decision(next: Next) -> Option<Decision> {
    let wait = |(message, until)| Wait { reason: WaitReason::HandOver, message, until };
    Some(match next {
        Next::Read(places) => Decision::ReadItems(places),
        Next::Write(intent) => Decision::MoveItem(intent),
        Next::Drained(drained) => Decision::Record(vec![Event::ItemDrained(drained)]),
        Next::Outcome(outcome) => Decision::Record(vec![Event::ItemOutcome(outcome)]),
        Next::Wait(waits) => Decision::Wait(waits.into_iter().map(wait).collect()),
        Next::Failed(_) | Next::Done(_) => return None,
    })
}

/// Adds the command for an item that stays stopped because the new cluster does not confirm that nothing of it runs.
fn with_command(state: &State, why: String) -> String {
    let started = &state.started;
    let to = &started.to;
    let item = started.items.iter().map(|start| &start.item).find(|item| why.contains(&item.to_string()));
    let stopped = |item: &&ItemId| {
        state
            .items
            .get(item)
            .is_some_and(|item| !item.sides.get(to).is_some_and(|side| side.drained) && item.sides.contains_key(to))
    };
    match item.filter(stopped) {
        Some(item) => format!(
            "{why}; if you know that nothing of it runs in {to}: cutover rollback {} --assume-stopped {item}",
            state.run
        ),
        None => why,
    }
}
