//! Requires that the routes were read and listed after the last step, before a share is raised and before the end of a
//! run. A regular observation reads the weights only, and lists the rules rarely, so it shows new rules and changed
//! conditions too late. The effect of changes by other actors belongs in `reconcile` and `freeze`.

use super::context::Context;
use super::decision::{Decision, wait};
use super::route_status;
use crate::domain::run::event::WaitReason;
use crate::domain::run::state::Route;

/// Returns the decision to read the routes, unless they were read after the last step and recently.
pub fn recent(c: &Context<'_>) -> Option<Decision> {
    let is_current = c.observed.has_census_since(c.state.last_step_done) && c.observed.has_recent_census(c.now);
    (!is_current).then_some(Decision::ReadRoutes)
}

/// Returns the decision to read the routes, unless they were read after the last step. Waits if a reading shows the
/// shares from before the last step: either the reading is late, or another actor wrote these shares.
pub fn after_last_step(c: &Context<'_>) -> Option<Decision> {
    if !c.observed.has_census_since(c.state.last_step_done) {
        return Some(Decision::ReadRoutes);
    }
    let route = c.state.routes.values().find(|route| shows_older_shares(c, route))?;
    let message = format!("{} was read with earlier shares; it is read again", route.start.label);
    Some(wait(WaitReason::Settle, message, None))
}

fn shows_older_shares(c: &Context<'_>, route: &Route) -> bool {
    let live = route_status::fresh_reading(c, route).and_then(|reading| reading.value.as_ref().ok());
    live.is_some_and(|live| !live.equivalent(&route.confirmed))
}
