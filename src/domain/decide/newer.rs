//! A run of a newer version than this build: it is reported, guarded, paused and rolled back, and nothing of it is raised.

use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::state::State;
use crate::plan::model::Plan;

/// What this build does not know in a run, and which version does; `None`: it knows all of it.
pub fn unknown(plan: &Plan, state: &State) -> Option<String> {
    let all = plan.newer.len() + state.newer.len();
    let first = state.newer.first().or(plan.newer.first())?;
    let more = if all > 1 { format!(" (and {} more)", all - 1) } else { String::new() };
    let tool = if state.tool.is_empty() {
        "the cutover that began it".to_owned()
    } else {
        format!("cutover {} or later", state.tool)
    };
    Some(format!("this run is newer than this cutover {}: {first}{more}; go on with {tool}", env!("CARGO_PKG_VERSION")))
}

/// The reason to raise nothing in such a run.
pub fn wait(plan: &Plan, state: &State) -> Option<Wait> {
    let message = unknown(plan, state)?;
    Some(Wait {
        reason: WaitReason::Newer,
        message: format!("{message}; until then it is only guarded, and can be rolled back"),
        until: None,
    })
}
