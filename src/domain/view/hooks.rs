//! Describes the commands and hooks of a run that are running or have ended.

use serde::Serialize;

use crate::domain::decide::occasion_text;
use crate::domain::run::hook::{HookId, HookPoint};
use crate::domain::run::state::{HookProgress, State};
use crate::plan::model::Plan;

/// A command or hook of the current step, the rollback or the end of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    /// The name or the number of the hook, with its occasion, such as `scale-up (before shift)`.
    pub hook: String,
    /// The state: `running`, `succeeded` or `failed`.
    pub state: &'static str,
    /// Why the command or hook failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Returns the commands and hooks that have started and belong to the current step, the rollback or the end of the run.
pub fn of_run(plan: &Plan, state: &State) -> Vec<HookView> {
    let current = |id: &HookId| id.step == state.step || id.at.is_rollback() || is_finish(id.at);
    let view = |(id, progress): (&HookId, &HookProgress)| {
        let (state, why) = match progress {
            HookProgress::Running(_) => ("running", None),
            HookProgress::Succeeded => ("succeeded", None),
            HookProgress::Failed(why) => ("failed", Some(why.clone())),
        };
        HookView { hook: name(plan, *id), state, why }
    };
    state.hooks.iter().filter(|(id, _)| current(id)).map(view).collect()
}

fn is_finish(at: HookPoint) -> bool {
    matches!(at, HookPoint::BeforeFinish | HookPoint::AfterFinish)
}

fn name(plan: &Plan, id: HookId) -> String {
    let hook = id.number.checked_sub(1).and_then(|place| plan.strategy.hooks.get(place));
    match (id.at, hook) {
        (HookPoint::Undo, _) => format!("undo of step {}", id.step),
        (_, Some(hook)) => {
            let name = hook.name.clone().unwrap_or_else(|| format!("hook {}", id.number));
            format!("{name} ({})", occasion_text(hook))
        }
        _ => format!("command of step {}", id.step),
    }
}
