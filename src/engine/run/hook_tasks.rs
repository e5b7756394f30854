//! Runs commands and hooks in the background, in parallel with the loop. Do not journal their start and end here.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use crate::domain::decide::HookCall;
use crate::domain::run::hook::HookId;
use crate::port::Hooks;

/// The id of a hook or command, and its output or error.
pub type FinishedHook = (HookId, Result<String, String>);

/// The commands and hooks in progress. Dropping this value stops them.
#[derive(Default)]
pub struct HookTasks {
    tasks: JoinSet<FinishedHook>,
    pub(super) running: BTreeMap<HookId, AbortHandle>,
    /// The results that arrived during [`HookTasks::wait`].
    early: Vec<FinishedHook>,
}

impl HookTasks {
    pub fn call(&mut self, hooks: &Arc<dyn Hooks>, call: HookCall) {
        let (hooks, id) = (Arc::clone(hooks), call.id);
        let task = self.tasks.spawn(async move { (id, hooks.call(&call).await) });
        self.running.insert(id, task);
    }

    /// Waits until a command or hook ends. Waits forever if none is in progress.
    pub async fn wait(&mut self) {
        match self.tasks.join_next().await {
            Some(done) => self.early.extend(done.ok()),
            None => std::future::pending().await,
        }
    }

    /// Stops all commands and hooks in progress.
    pub async fn stop(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }

    pub fn take_results(&mut self) -> Vec<FinishedHook> {
        let mut all = std::mem::take(&mut self.early);
        while let Some(done) = self.tasks.try_join_next() {
            all.extend(done.ok());
        }
        all.retain(|(id, _)| self.running.remove(id).is_some());
        all
    }
}
