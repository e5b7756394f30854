//! Checks commands and hooks, and converts them to the model.

use super::gates::headers;
use super::{Diagnostic, Placed, note};
use crate::base::finding::Code;
use crate::plan::file::Strategy;
use crate::plan::hooks::{ExecStep, Hook, HookOccasion, HookReaction};
use crate::plan::model::hook::{self, HookAction, HookEvent};
use crate::plan::scalar::Query;

/// Returns every hook, in the order of the file.
pub(super) fn all(strategy: &Strategy, out: &mut Vec<Diagnostic>) -> Vec<hook::Hook> {
    strategy.hooks.iter().flat_map(|all| &all.value).filter_map(|at| convert_hook(at, out)).collect()
}

fn convert_hook(at: &Placed<Hook>, out: &mut Vec<Diagnostic>) -> Option<hook::Hook> {
    let Hook { name, before, after, exec, http, on_failure } = &at.value;
    let occasion = occasion(before.as_ref().or(after.as_ref())?.value);
    let (action, timeout) = match (exec, http) {
        (Some(exec), None) => {
            (HookAction::Exec(command_words(exec.value.command.as_ref()?, out)?), exec.value.timeout.as_ref()?.value.0)
        }
        (None, Some(http)) => {
            let (url, headers) = (http.value.url.as_ref()?.value.0.clone(), headers(http.value.headers.as_ref()?)?);
            (HookAction::Http { url, headers }, http.value.timeout.as_ref()?.value.0)
        }
        _ => {
            let message = if exec.is_some() {
                "the hook has both `exec` and `http`"
            } else {
                "the hook has neither `exec` nor `http`"
            };
            return note(out, Code::CUT039, at.head, message)
                .help("write exactly one of `exec` and `http`")
                .without_value();
        }
    };
    // A hook cannot stop a rollback or an event that has already happened.
    let can_stop_run = before.is_some() && occasion != HookEvent::Rollback;
    if let Some(reaction) = on_failure.as_ref().filter(|r| r.value == HookReaction::Fail && !can_stop_run) {
        let message = "a hook after an event, or before a rollback, cannot stop the run when it fails";
        note(out, Code::CUT039, reaction.head, message).help("write `ignore`, or remove `onFailure`");
    }
    let fails_run = can_stop_run && on_failure.as_ref().is_none_or(|reaction| reaction.value == HookReaction::Fail);
    Some(hook::Hook {
        name: name.as_ref().map(|n| n.value.0.clone()),
        before: before.is_some(),
        occasion,
        action,
        timeout,
        fails_run,
    })
}

fn occasion(occasion: HookOccasion) -> HookEvent {
    match occasion {
        HookOccasion::Bind => HookEvent::Bind,
        HookOccasion::Shift => HookEvent::Shift,
        HookOccasion::Rollback => HookEvent::Rollback,
        HookOccasion::Finish => HookEvent::Finish,
    }
}

/// Converts an `exec` step to the model.
pub(super) fn exec(at: &Placed<ExecStep>, out: &mut Vec<Diagnostic>) -> Option<hook::ExecCommand> {
    let command = command_words(at.value.command.as_ref()?, out);
    let undo = at.value.undo.as_ref().map(|undo| command_words(undo, out));
    Some(hook::ExecCommand {
        command: command?,
        undo: match undo {
            Some(command_words) => Some(command_words?),
            None => None,
        },
        timeout: at.value.timeout.as_ref()?.value.0,
    })
}

fn command_words(command: &Placed<Vec<Placed<Query>>>, out: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    if command.value.is_empty() && command.complete {
        return note(out, Code::CUT039, command.head, "the command is empty")
            .help("write `[./program, argument]`")
            .without_value();
    }
    Some(command.value.iter().map(|word| word.value.0.clone()).collect())
}
