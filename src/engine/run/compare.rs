//! Compares both clusters for the compare gate. The reads run in parallel with the loop, so that a slow API server
//! never delays the guard. They call the clusters' API servers, and do not count against the budget for AWS describe
//! calls.

use super::RunLoop;
use crate::domain::decide::{Context, comparison};
use crate::domain::run::comparison::Compared;

impl RunLoop<'_> {
    /// Takes a comparison that has ended, and starts one that is due, unless the process is about to exit.
    pub(super) fn compare(&mut self, exiting: bool) {
        let now = self.ports.clock.now();
        if let Some(comparison) = self.comparing.take_result() {
            self.watch.compared = Some(Compared { at: now, comparison });
        }
        let context = Context { plan: self.plan, state: &self.state, observed: &self.watch, now };
        // A call of `cutover step` compares only before a raise. During a pause, it would end before the comparison.
        let stays = self.settings.orders.exit_after.is_none() || comparison::is_reading(&context);
        let due = comparison::due(self.plan, &self.state, &self.watch, now);
        if due && stays && !exiting && self.comparing.is_idle() {
            self.comparing.start(self.plan.clone(), self.ports.clone(), self.state.comparison.clone());
        }
    }
}
