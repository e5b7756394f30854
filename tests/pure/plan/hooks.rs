//! Commands and hooks in the plan file: their parsed form, and the messages for invalid hooks.

use std::time::Duration;

use cutover::plan::Diagnostics;
use cutover::plan::model::hook::{ExecCommand, HookAction, HookEvent};
use cutover::plan::model::{Plan, StepKind};

use super::assert_refused;

fn with(hooks: &str, step: &str) -> Result<Plan, Diagnostics> {
    super::with("", &format!("hooks: [{hooks}], steps: [{step}, {{setWeight: 100}}]"), "")
}

const COMMAND_STEP: &str = "{exec: {command: [./migrate, up], undo: [./migrate, down]}, name: migrate}";

#[test]
fn commands_and_hooks_are_read() {
    let hooks = "{before: shift, exec: {command: [x, y], timeout: 5m}}, {after: finish, name: tell, http: {url: \"https://x/y\"}}, \
                 {before: bind, onFailure: ignore, exec: {command: [x]}}, {before: rollback, exec: {command: [x]}}";
    let plan = with(hooks, COMMAND_STEP).unwrap_or_else(|e| panic!("{e}"));
    let found: Vec<_> =
        plan.strategy.hooks.iter().map(|h| (h.before, h.occasion, h.fails_run, h.timeout.as_secs())).collect();
    let wanted = [
        (true, HookEvent::Shift, true, 300),
        (false, HookEvent::Finish, false, 10),
        (true, HookEvent::Bind, false, 60),
        (true, HookEvent::Rollback, false, 60),
    ];
    assert_eq!(found, wanted);
    assert!(
        matches!(&plan.strategy.hooks[1].action, HookAction::Http { url, headers } if url == "https://x/y" && headers.is_empty())
    );
    let words = |words: [&str; 2]| words.map(str::to_owned).to_vec();
    let exec = ExecCommand {
        command: words(["./migrate", "up"]),
        undo: Some(words(["./migrate", "down"])),
        timeout: Duration::from_mins(10),
    };
    assert_eq!(plan.strategy.steps[0].kind, StepKind::Exec(exec));
}

#[test]
fn every_invalid_hook_is_refused_with_position_and_advice() {
    let refused = |hooks: &str, step: &str, code: &str, words: &str| assert_refused(with(hooks, step), code, words, 8);
    refused("{exec: {command: [x]}}", COMMAND_STEP, "CUT039", "`before`");
    refused("{before: bind, after: bind, exec: {command: [x]}}", COMMAND_STEP, "CUT039", "before");
    refused("{before: bind}", COMMAND_STEP, "CUT039", "`exec` and `http`");
    refused("{before: bind, exec: {command: [x]}, http: {url: \"https://x\"}}", COMMAND_STEP, "CUT039", "has both");
    refused("{before: tomorrow, exec: {command: [x]}}", COMMAND_STEP, "CUT039", "shift");
    refused("{before: bind, exec: {command: []}}", COMMAND_STEP, "CUT039", "the command is empty");
    for late in ["after: shift", "before: rollback", "after: rollback"] {
        refused(&format!("{{{late}, onFailure: fail, exec: {{command: [x]}}}}"), COMMAND_STEP, "CUT039", "ignore");
    }
    refused("", "{exec: {undo: [x]}}", "CUT004", "command");
    refused("", "{exec: {command: [x], undo: []}}", "CUT039", "the command is empty");
    refused("", "{exec: {command: [x]}, setWeight: 5}", "CUT020", "exec");
    refused("", "{exec: {command: [x], timeout: 5}}", "CUT014", "");
}
