//! Commands and hooks: carried out beside the loop, so that a slow one never holds up the guard, and journalled before and after.

use super::Run;
use crate::domain::decide;
use crate::domain::run::event::Event;
use crate::domain::run::hook::{HookId, HookResult};
use crate::domain::run::state::Progress;
use crate::engine::EngineError;

impl Run<'_> {
    /// Begins a command or a hook.
    pub(super) async fn call(&mut self, id: HookId) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        let Some(errand) = decide::errand(self.plan, &self.state, id) else {
            // The plan that a journal froze has each that it journalled.
            let message = "the plan has no such hook".to_owned();
            return self.journal(Event::HookEnded { hook: id, result: HookResult::Failed, message }).await;
        };
        if let Err(error) = self.journal(Event::HookStarted { hook: id, what: errand.what.clone() }).await {
            return self.unwritten(error, now).await;
        }
        self.calling.call(&self.ports.hooks, errand);
        Ok(())
    }

    /// Journals what has come to its end, and ends what the run has turned its back on.
    pub(super) async fn answered(&mut self) -> Result<(), EngineError> {
        for (hook, answer) in self.calling.answers() {
            let (result, message) = match answer {
                Ok(said) => (HookResult::Well, said),
                Err(why) => (HookResult::Failed, why),
            };
            self.journal(Event::HookEnded { hook, result, message }).await?;
        }
        let wanted = |id: &HookId| matches!(self.state.hooks.get(id), Some(Progress::Running(_)));
        let over: Vec<_> = self.calling.running.keys().copied().filter(|id| !wanted(id)).collect();
        for hook in over {
            if let Some(task) = self.calling.running.remove(&hook) {
                task.abort();
            }
            let message = "the run has turned round".to_owned();
            self.journal(Event::HookEnded { hook, result: HookResult::Ended, message }).await?;
        }
        Ok(())
    }
}
