//! Decides which command or hook runs next, and what a failure causes. Writes of a rollback never wait for a hook.

use jiff::Timestamp;

use super::call::{HookCall, HookInput};
use super::context::Context;
use super::decision::{Decision, wait};
use super::{desired_split, failure, step_text};
use crate::base::time::later;
use crate::domain::run::event::{FreezeReason, WaitReason};
use crate::domain::run::hook::{HookId, HookPoint};
use crate::domain::run::state::{HookProgress, Rollback, State};
use crate::plan::model::hook::{self, Hook, HookAction};
use crate::plan::model::{Plan, StepKind};

/// Returns the next decision for the hooks of this occasion; `None` if all are done.
pub fn next_in_step(c: &Context<'_>, at: HookPoint) -> Option<Decision> {
    let step = if matches!(at, HookPoint::BeforeFinish | HookPoint::AfterFinish) { 0 } else { c.state.step };
    hook_ids(c.plan, at, step).into_iter().find_map(|id| match c.state.hooks.get(&id) {
        Some(HookProgress::Failed(why)) if is_required(c.plan, id) => {
            Some(failure::apply_on_failure(c, FreezeReason::HookFailed, format!("{}: {why}", describe(c.plan, id))))
        }
        progress => start_or_wait(c.plan, id, progress),
    })
}

/// Returns the next hook to start together with the writes of a rollback. The first write is sent before any hook
/// starts.
pub fn next_during_writes(plan: &Plan, state: &State) -> Option<Decision> {
    let next = hook_ids(plan, HookPoint::BeforeRollback, 0).into_iter().find(|id| !has_ended(state, *id))?;
    (!state.hooks.contains_key(&next)).then_some(Decision::StartHook(next))
}

/// Returns the remaining hooks of a rollback after all routes are restored. Commands are undone in reverse order.
pub fn next_after_restore(plan: &Plan, state: &State, rollback: &Rollback) -> Option<Decision> {
    let before = hook_ids(plan, HookPoint::BeforeRollback, 0);
    let all =
        before.into_iter().chain(undo_ids(plan, state, rollback)).chain(hook_ids(plan, HookPoint::AfterRollback, 0));
    all.into_iter().find_map(|id| start_or_wait(plan, id, state.hooks.get(&id)))
}

/// Returns the commands that were not undone, and why.
pub fn not_undone(plan: &Plan, state: &State, rollback: &Rollback) -> Vec<String> {
    let why = |id: HookId| match state.hooks.get(&id) {
        Some(HookProgress::Succeeded) => None,
        Some(HookProgress::Failed(why)) => Some(format!("{}: {why}", describe(plan, id))),
        Some(HookProgress::Running(_)) | None => Some(format!("{}: not run", describe(plan, id))),
    };
    let first = rollback.to_step.unwrap_or(0);
    let unreadable = state.started_commands.iter().filter(|step| **step > first && exec(plan, **step).is_none());
    let unreadable = unreadable
        .map(|step| format!("step {step}: not undone, because this version cannot read the command of the step"));
    undo_ids(plan, state, rollback).filter_map(why).chain(unreadable).collect()
}

/// Returns the command or hook to execute; `None` if the plan has none with this id.
pub fn hook_call(plan: &Plan, state: &State, id: HookId) -> Option<HookCall> {
    let (name, action, timeout) = if let Some((name, exec)) = step_command(plan, id) {
        let command = if id.at == HookPoint::Undo { exec.undo.clone()? } else { exec.command.clone() };
        (name, HookAction::Exec(command), exec.timeout)
    } else {
        let hook = plan_hook(plan, id)?;
        (hook.name.clone(), hook.action.clone(), hook.timeout)
    };
    let rollback = state.rollback.as_ref().filter(|_| id.at.is_rollback());
    let share_step = rollback.map_or(state.step, |r| r.to_step.unwrap_or(0));
    let start = state.started.start.as_ref().or(plan.strategy.start.as_ref());
    let input = HookInput {
        run: state.run.clone(),
        plan: plan.name.clone(),
        hook: id.at,
        step: id.step,
        label: plan.strategy.steps.get(id.step.wrapping_sub(1)).map(step_text::label).unwrap_or_default(),
        from: plan.strategy.from.clone(),
        to: plan.strategy.to.clone(),
        shares: desired_split::share_step_at(plan, share_step).map(|(_, shares)| shares).or(start).cloned(),
        cause: rollback.map(|r| r.cause.clone()),
    };
    Some(HookCall { id, name, description: describe(plan, id), action, timeout, input })
}

fn start_or_wait(plan: &Plan, id: HookId, progress: Option<&HookProgress>) -> Option<Decision> {
    match progress {
        None => Some(Decision::StartHook(id)),
        Some(HookProgress::Running(since)) => Some(wait_for_hook(plan, id, *since)),
        Some(HookProgress::Succeeded | HookProgress::Failed(_)) => None,
    }
}

fn wait_for_hook(plan: &Plan, id: HookId, since: Timestamp) -> Decision {
    let timeout = step_command(plan, id)
        .map(|(_, exec)| exec.timeout)
        .or(plan_hook(plan, id).map(|hook| hook.timeout))
        .unwrap_or_default();
    wait(WaitReason::Hook, describe(plan, id), Some(later(since, timeout)))
}

fn has_ended(state: &State, id: HookId) -> bool {
    matches!(state.hooks.get(&id), Some(HookProgress::Succeeded | HookProgress::Failed(_)))
}

/// Returns the undo commands of this rollback, in reverse order.
fn undo_ids(plan: &Plan, state: &State, rollback: &Rollback) -> impl Iterator<Item = HookId> {
    let first = rollback.to_step.unwrap_or(0);
    // A command that this rollback has undone is no longer in `started_commands`.
    let undone = state.hooks.keys().filter(|id| id.at == HookPoint::Undo).map(|id| id.step);
    let mut steps: Vec<_> = state.started_commands.iter().copied().chain(undone).filter(|step| *step > first).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    steps.dedup();
    let has = |step: &usize| exec(plan, *step).is_some_and(|(_, exec)| exec.undo.is_some());
    steps.retain(has);
    steps.into_iter().map(|step| HookId { at: HookPoint::Undo, step, number: 0 })
}

/// Returns the plan's hooks of an occasion, or a step's own command.
fn hook_ids(plan: &Plan, at: HookPoint, step: usize) -> Vec<HookId> {
    if at == HookPoint::Command {
        return vec![HookId { at, step, number: 0 }];
    }
    let hooks = (1..).zip(&plan.strategy.hooks);
    hooks.filter(|(_, hook)| occasion(hook) == at).map(|(number, _)| HookId { at, step, number }).collect()
}

/// Returns the occasion of a hook as text, such as `before bind`.
pub fn occasion_text(hook: &Hook) -> &'static str {
    occasion_name(occasion(hook))
}

fn occasion(hook: &Hook) -> HookPoint {
    match (hook.occasion, hook.before) {
        (hook::HookEvent::Bind, true) => HookPoint::BeforeBind,
        (hook::HookEvent::Bind, false) => HookPoint::AfterBind,
        (hook::HookEvent::Shift, true) => HookPoint::BeforeShift,
        (hook::HookEvent::Shift, false) => HookPoint::AfterShift,
        (hook::HookEvent::Rollback, true) => HookPoint::BeforeRollback,
        (hook::HookEvent::Rollback, false) => HookPoint::AfterRollback,
        (hook::HookEvent::Finish, true) => HookPoint::BeforeFinish,
        (hook::HookEvent::Finish, false) => HookPoint::AfterFinish,
    }
}

fn exec(plan: &Plan, step: usize) -> Option<(Option<String>, &hook::ExecCommand)> {
    let step = plan.strategy.steps.get(step.checked_sub(1)?)?;
    if let StepKind::Exec(exec) = &step.kind { Some((step.name.clone(), exec)) } else { None }
}

fn step_command(plan: &Plan, id: HookId) -> Option<(Option<String>, &hook::ExecCommand)> {
    exec(plan, id.step).filter(|_| id.number == 0)
}

fn plan_hook(plan: &Plan, id: HookId) -> Option<&Hook> {
    plan.strategy.hooks.get(id.number.checked_sub(1)?)
}

fn is_required(plan: &Plan, id: HookId) -> bool {
    id.at == HookPoint::Command || plan_hook(plan, id).is_some_and(|hook| hook.fails_run)
}

/// Describes a hook or command: name, occasion and action.
fn describe(plan: &Plan, id: HookId) -> String {
    let (name, action) = match (step_command(plan, id), plan_hook(plan, id)) {
        (Some((name, exec)), _) => {
            let command = if id.at == HookPoint::Undo { exec.undo.as_ref() } else { Some(&exec.command) };
            (name, command.map(|command| step_text::command_line(command)).unwrap_or_default())
        }
        (None, Some(hook)) => (hook.name.clone(), step_text::action_line(&hook.action)),
        (None, None) => (None, String::new()),
    };
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let at = match id.at {
        HookPoint::Command => format!("step {}{name}", id.step),
        HookPoint::Undo => format!("undo of step {}{name}", id.step),
        at => format!("hook{name} ({})", occasion_name(at)),
    };
    format!("{at}: {action}")
}

fn occasion_name(at: HookPoint) -> &'static str {
    match at {
        HookPoint::BeforeBind => "before bind",
        HookPoint::AfterBind => "after bind",
        HookPoint::BeforeShift => "before shift",
        HookPoint::AfterShift => "after shift",
        HookPoint::BeforeRollback => "before rollback",
        HookPoint::AfterRollback => "after rollback",
        HookPoint::BeforeFinish => "before finish",
        HookPoint::AfterFinish => "after finish",
        HookPoint::Command | HookPoint::Undo => "step",
    }
}
