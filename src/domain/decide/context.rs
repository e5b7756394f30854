//! The input of a decision. Do not add functions that decide anything.

use jiff::Timestamp;

use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, State};
use crate::plan::model::{Plan, StepKind};

/// The input of a decision: the plan, the state, the recent observations, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The state of the run, computed from the journal.
    pub state: &'a State,
    /// The recent observations of this process.
    pub observed: &'a Observed,
    /// The time of the decision.
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// Returns a group's name for messages.
    pub fn name<'b>(&self, group: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.state.started.groups.get(group).map_or(group, |start| &start.name)
    }

    /// Returns the kind of the current step; `None` after the last step.
    pub fn step_kind(&self) -> Option<&'a StepKind> {
        current_step(self.plan, self.state)
    }
}

/// Returns the kind of the current step; `None` after the last step.
pub fn current_step<'a>(plan: &'a Plan, state: &State) -> Option<&'a StepKind> {
    plan.strategy.steps.get(state.step.checked_sub(1)?).map(|s| &s.kind)
}

/// Whether shares are being written. A measurement during this time belongs neither to the old nor to the new shares.
pub fn shares_changing(plan: &Plan, state: &State) -> bool {
    state.phase == Phase::Shifting
        && state.first_write.is_some()
        && current_step(plan, state).is_some_and(|kind| *kind != StepKind::Bind)
}
