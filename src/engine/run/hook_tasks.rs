//! Commands and hooks that are under way, beside the loop.
//! The journal of their start and end is not kept here.
//! The journal of their start and end is not kept here.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use crate::domain::decide::HookCall;
use crate::domain::run::hook::HookId;
use crate::port::Hooks;

/// A hook or a command, and its result.
pub type HookAnswer = (HookId, Result<String, String>);

/// Commands and hooks under way. They are stopped on drop.
#[derive(Default)]
pub struct HookTasks {
    tasks: JoinSet<HookAnswer>,
    pub(super) running: BTreeMap<HookId, AbortHandle>,
    /// Answers that arrived during [`Calling::wait`].
    early: Vec<HookAnswer>,
}

impl HookTasks {
    pub fn call(&mut self, hooks: &Arc<dyn Hooks>, call: HookCall) {
        let (hooks, id) = (Arc::clone(hooks), call.id);
        let task = self.tasks.spawn(async move { (id, hooks.call(&call).await) });
        self.running.insert(id, task);
    }

    /// Waits until a command or a hook ends. Waits for ever if none is under way.
    pub async fn wait(&mut self) {
        match self.tasks.join_next().await {
            Some(done) => self.early.extend(done.ok()),
            None => std::future::pending().await,
        }
    }

    /// Stops all of them.
    pub async fn stop(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }

    pub fn take_answers(&mut self) -> Vec<HookAnswer> {
        let mut all = std::mem::take(&mut self.early);
        while let Some(done) = self.tasks.try_join_next() {
            all.extend(done.ok());
        }
        all.retain(|(id, _)| self.running.remove(id).is_some());
        all
    }
}
