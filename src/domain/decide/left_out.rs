//! Describes the routes that a run leaves out, because an operator accepted that their load balancer is lost.

use crate::domain::run::state::State;

/// Returns a text for each route that the run left out.
pub fn texts(state: &State) -> impl Iterator<Item = String> {
    state.left_out.values().map(|route| {
        format!("{}: not moved, because it did not answer; accepted with `resume --without`", route.start.label)
    })
}
