//! Starts commands and hooks, and journals their start and end. Commands and hooks run in parallel with the loop, so
//! that a slow command never delays the guard.

use super::RunLoop;
use crate::domain::decide;
use crate::domain::run::event::Event;
use crate::domain::run::hook::{HookId, HookResult};
use crate::domain::run::state::HookProgress;
use crate::engine::EngineError;

impl RunLoop<'_> {
    /// Starts a command or a hook.
    pub(super) async fn start_hook(&mut self, id: HookId) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        let Some(call) = decide::hook_call(self.plan, &self.state, id) else {
            // This cannot happen with a consistent journal, because the plan in it has every hook that it names.
            let message = "the plan in the journal does not contain this hook".to_owned();
            return self.journal(Event::HookEnded { hook: id, result: HookResult::Failed, message }).await;
        };
        if let Err(error) = self.journal(Event::HookStarted { hook: id, action: call.description.clone() }).await {
            return self.wait_for_journal(error, now).await;
        }
        self.hook_tasks.call(&self.ports.hooks, call);
        Ok(())
    }

    /// Journals the hooks that ended, and stops the hooks that the run no longer needs.
    pub(super) async fn journal_ended_hooks(&mut self) -> Result<(), EngineError> {
        for (hook, answer) in self.hook_tasks.take_results() {
            let (result, message) = match answer {
                Ok(said) => (HookResult::Succeeded, said),
                Err(why) => (HookResult::Failed, why),
            };
            self.journal(Event::HookEnded { hook, result, message }).await?;
        }
        let wanted = |id: &HookId| matches!(self.state.hooks.get(id), Some(HookProgress::Running(_)));
        let unneeded: Vec<_> = self.hook_tasks.running.keys().copied().filter(|id| !wanted(id)).collect();
        for hook in unneeded {
            if let Some(task) = self.hook_tasks.running.remove(&hook) {
                task.abort();
            }
            let message = "stopped, because the run no longer needs the hook".to_owned();
            self.journal(Event::HookEnded { hook, result: HookResult::Interrupted, message }).await?;
        }
        Ok(())
    }
}
