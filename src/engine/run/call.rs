//! Starts commands and hooks and journals their start and end. They run beside the loop, so that a slow one never
//! delays the guard.

use super::Run;
use crate::domain::decide;
use crate::domain::run::event::Event;
use crate::domain::run::hook::{HookId, HookResult};
use crate::domain::run::state::Progress;
use crate::engine::EngineError;

impl Run<'_> {
    /// Starts a command or a hook.
    pub(super) async fn call(&mut self, id: HookId) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        let Some(call) = decide::errand(self.plan, &self.state, id) else {
            // Not possible with a consistent journal: its plan has every hook that it names.
            let message = "the plan has no such hook".to_owned();
            return self.journal(Event::HookEnded { hook: id, result: HookResult::Failed, message }).await;
        };
        if let Err(error) = self.journal(Event::HookStarted { hook: id, what: call.description.clone() }).await {
            return self.unwritten(error, now).await;
        }
        self.calling.call(&self.ports.hooks, call);
        Ok(())
    }

    /// Journals the hooks that ended, and stops those that the run does not need any more.
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
            let message = "stopped, because the run changed its direction".to_owned();
            self.journal(Event::HookEnded { hook, result: HookResult::Ended, message }).await?;
        }
        Ok(())
    }
}
