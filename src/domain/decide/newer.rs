//! Ensures that runs that a newer version wrote raise no shares. Such runs can be reported, guarded, paused and rolled
//! back.

use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::state::State;
use crate::plan::model::Plan;

/// Describes the parts of a run that this build does not know, and the version that knows them; `None` if this build
/// knows all parts.
pub fn unknown_parts(plan: &Plan, state: &State) -> Option<String> {
    let all = plan.newer.len() + state.newer.len();
    let first = state.newer.first().or(plan.newer.first())?;
    let more = if all > 1 { format!(" (and {} more)", all - 1) } else { String::new() };
    let tool = if state.newest_tool.is_empty() {
        "the version of cutover that started the run".to_owned()
    } else {
        format!("cutover {} or later", state.newest_tool)
    };
    Some(format!(
        "this run needs a newer cutover than {}: {first}{more}; continue with {tool}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// Returns a wait if the plan or the journal of the run has parts that this build does not know, such as a step of a
/// later version. The run then raises no share. Otherwise returns `None`.
pub fn wait(plan: &Plan, state: &State) -> Option<Wait> {
    let message = unknown_parts(plan, state)?;
    Some(Wait {
        reason: WaitReason::Newer,
        message: format!("{message}; with this version the run is only guarded, and can be rolled back"),
        until: None,
    })
}
