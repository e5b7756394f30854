//! Commands and hooks: which is next, and what a failure causes. Restoring writes never wait for one.

use jiff::Timestamp;

use super::call::{HookCall, HookInput};
use super::context::Context;
use super::decision::{Decision, wait};
use super::{failure, goal, words};
use crate::base::time::later;
use crate::domain::run::event::{Freeze, WaitReason};
use crate::domain::run::hook::{HookId, Occasion};
use crate::domain::run::state::{Progress, Rollback, State};
use crate::plan::model::hook::{self, Action, Hook};
use crate::plan::model::{Plan, StepKind};

/// The next decision for the hooks of this occasion; `None` if all are done.
pub fn step(c: &Context<'_>, at: Occasion) -> Option<Decision> {
    let step = if matches!(at, Occasion::BeforeFinish | Occasion::AfterFinish) { 0 } else { c.state.step };
    ids(c.plan, at, step).into_iter().find_map(|id| match c.state.hooks.get(&id) {
        Some(Progress::Failed(why)) if must(c.plan, id) => {
            Some(failure::failed(c, Freeze::HookFailed, format!("{}: {why}", words(c.plan, id))))
        }
        progress => under_way(c.plan, id, progress),
    })
}

/// The next hook to start together with the writes of a rollback. The first write comes before it.
pub fn beside(plan: &Plan, state: &State) -> Option<Decision> {
    let next = ids(plan, Occasion::BeforeRollback, 0).into_iter().find(|id| !over(state, *id))?;
    (!state.hooks.contains_key(&next)).then_some(Decision::Call(next))
}

/// The remaining hooks of a rollback after all routes are restored. Commands are undone in reverse order.
pub fn closing(plan: &Plan, state: &State, rollback: &Rollback) -> Option<Decision> {
    let before = ids(plan, Occasion::BeforeRollback, 0);
    let all = before.into_iter().chain(undos(plan, state, rollback)).chain(ids(plan, Occasion::AfterRollback, 0));
    all.into_iter().find_map(|id| under_way(plan, id, state.hooks.get(&id)))
}

/// The commands that were not undone, and why.
pub fn not_undone(plan: &Plan, state: &State, rollback: &Rollback) -> Vec<String> {
    let why = |id: HookId| match state.hooks.get(&id) {
        Some(Progress::Well) => None,
        Some(Progress::Failed(why)) => Some(format!("{}: {why}", words(plan, id))),
        Some(Progress::Running(_)) | None => Some(format!("{}: not run", words(plan, id))),
    };
    let first = rollback.to_step.unwrap_or(0);
    let unread = state.done.iter().filter(|step| **step > first && exec(plan, **step).is_none());
    let unread = unread.map(|step| format!("step {step}: this version cannot read its command and cannot undo it"));
    undos(plan, state, rollback).filter_map(why).chain(unread).collect()
}

/// The command or hook to execute; `None` if the plan has none with this id.
pub fn errand(plan: &Plan, state: &State, id: HookId) -> Option<HookCall> {
    let (name, action, timeout) = if let Some((name, exec)) = own(plan, id) {
        let words = if id.at == Occasion::Undo { exec.undo.clone()? } else { exec.command.clone() };
        (name, Action::Exec(words), exec.timeout)
    } else {
        let hook = given(plan, id)?;
        (hook.name.clone(), hook.action.clone(), hook.timeout)
    };
    let rollback = state.rollback.as_ref().filter(|_| id.at.of_rollback());
    let reached = rollback.map_or(state.step, |r| r.to_step.unwrap_or(0));
    let start = state.started.start.as_ref().or(plan.strategy.start.as_ref());
    let input = HookInput {
        run: state.run.clone(),
        plan: plan.name.clone(),
        hook: id.at,
        step: id.step,
        label: plan.strategy.steps.get(id.step.wrapping_sub(1)).map(words::label).unwrap_or_default(),
        from: plan.strategy.from.clone(),
        to: plan.strategy.to.clone(),
        shares: goal::ruling(plan, reached).map(|(_, shares)| shares).or(start).cloned(),
        cause: rollback.map(|r| r.cause.clone()),
    };
    Some(HookCall { id, name, description: words(plan, id), action, timeout, input })
}

fn under_way(plan: &Plan, id: HookId, progress: Option<&Progress>) -> Option<Decision> {
    match progress {
        None => Some(Decision::Call(id)),
        Some(Progress::Running(since)) => Some(running(plan, id, *since)),
        Some(Progress::Well | Progress::Failed(_)) => None,
    }
}

fn running(plan: &Plan, id: HookId, since: Timestamp) -> Decision {
    let timeout =
        own(plan, id).map(|(_, exec)| exec.timeout).or(given(plan, id).map(|hook| hook.timeout)).unwrap_or_default();
    wait(WaitReason::Hook, words(plan, id), Some(later(since, timeout)))
}

fn over(state: &State, id: HookId) -> bool {
    matches!(state.hooks.get(&id), Some(Progress::Well | Progress::Failed(_)))
}

/// The undo commands of this rollback, in reverse order.
fn undos(plan: &Plan, state: &State, rollback: &Rollback) -> impl Iterator<Item = HookId> {
    let first = rollback.to_step.unwrap_or(0);
    // A command that this rollback has undone is no longer in `done`.
    let undone = state.hooks.keys().filter(|id| id.at == Occasion::Undo).map(|id| id.step);
    let mut steps: Vec<_> = state.done.iter().copied().chain(undone).filter(|step| *step > first).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    steps.dedup();
    let has = |step: &usize| exec(plan, *step).is_some_and(|(_, exec)| exec.undo.is_some());
    steps.retain(has);
    steps.into_iter().map(|step| HookId { at: Occasion::Undo, step, number: 0 })
}

/// The plan's hooks of an occasion, or a step's own command.
fn ids(plan: &Plan, at: Occasion, step: usize) -> Vec<HookId> {
    if at == Occasion::Command {
        return vec![HookId { at, step, number: 0 }];
    }
    let hooks = (1..).zip(&plan.strategy.hooks);
    hooks.filter(|(_, hook)| occasion(hook) == at).map(|(number, _)| HookId { at, step, number }).collect()
}

/// The occasion of a hook, as text.
pub fn when(hook: &Hook) -> &'static str {
    spoken(occasion(hook))
}

fn occasion(hook: &Hook) -> Occasion {
    match (hook.occasion, hook.before) {
        (hook::Occasion::Bind, true) => Occasion::BeforeBind,
        (hook::Occasion::Bind, false) => Occasion::AfterBind,
        (hook::Occasion::Shift, true) => Occasion::BeforeShift,
        (hook::Occasion::Shift, false) => Occasion::AfterShift,
        (hook::Occasion::Rollback, true) => Occasion::BeforeRollback,
        (hook::Occasion::Rollback, false) => Occasion::AfterRollback,
        (hook::Occasion::Finish, true) => Occasion::BeforeFinish,
        (hook::Occasion::Finish, false) => Occasion::AfterFinish,
    }
}

fn exec(plan: &Plan, step: usize) -> Option<(Option<String>, &hook::Exec)> {
    let step = plan.strategy.steps.get(step.checked_sub(1)?)?;
    if let StepKind::Exec(exec) = &step.kind { Some((step.name.clone(), exec)) } else { None }
}

fn own(plan: &Plan, id: HookId) -> Option<(Option<String>, &hook::Exec)> {
    exec(plan, id.step).filter(|_| id.number == 0)
}

fn given(plan: &Plan, id: HookId) -> Option<&Hook> {
    plan.strategy.hooks.get(id.number.checked_sub(1)?)
}

fn must(plan: &Plan, id: HookId) -> bool {
    id.at == Occasion::Command || given(plan, id).is_some_and(|hook| hook.must)
}

/// A hook as text: its name, occasion and action.
fn words(plan: &Plan, id: HookId) -> String {
    let (name, action) = match (own(plan, id), given(plan, id)) {
        (Some((name, exec)), _) => {
            let words = if id.at == Occasion::Undo { exec.undo.as_ref() } else { Some(&exec.command) };
            (name, words.map(|words| words::line(words)).unwrap_or_default())
        }
        (None, Some(hook)) => (hook.name.clone(), words::action(&hook.action)),
        (None, None) => (None, String::new()),
    };
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let at = match id.at {
        Occasion::Command => format!("step {}{name}", id.step),
        Occasion::Undo => format!("undo of step {}{name}", id.step),
        at => format!("hook{name} ({})", spoken(at)),
    };
    format!("{at}: {action}")
}

fn spoken(at: Occasion) -> &'static str {
    match at {
        Occasion::BeforeBind => "before bind",
        Occasion::AfterBind => "after bind",
        Occasion::BeforeShift => "before shift",
        Occasion::AfterShift => "after shift",
        Occasion::BeforeRollback => "before rollback",
        Occasion::AfterRollback => "after rollback",
        Occasion::BeforeFinish => "before finish",
        Occasion::AfterFinish => "after finish",
        Occasion::Command | Occasion::Undo => "step",
    }
}
