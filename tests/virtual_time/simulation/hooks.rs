//! Commands and hooks of a simulated run: each is a call that is recorded and counted, and that may get a fault.

use std::future::pending;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use async_trait::async_trait;
use cutover::domain::decide::HookCall;
use cutover::domain::run::hook::HookId;
use cutover::port::Hooks;
use futures::FutureExt;

use super::aws::affects_one_call;
use super::fault::{FaultKind, FaultPoint, Moment};
use super::history::EntryContent;
use super::wire::{Crash, HOOK_SERVICE, LATE, NEAR_DEADLINE, Wire};

/// How long a command or hook takes.
const HOOK_DURATION: Duration = Duration::from_secs(2);

type CallResult = Result<String, String>;

/// Simulates commands and hooks instead of running them.
pub struct SimulatedHooks(pub Wire);

#[async_trait]
impl Hooks for SimulatedHooks {
    async fn call(&self, hook: &HookCall) -> CallResult {
        match AssertUnwindSafe(self.exchange(hook)).catch_unwind().await {
            Ok(result) => result,
            // The whole process dies, not only this task.
            Err(panic) if panic.is::<Crash>() => {
                self.0.kill();
                pending().await
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    fn locate(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl SimulatedHooks {
    async fn exchange(&self, hook: &HookCall) -> CallResult {
        let Some(FaultPoint { moment, kind, .. }) = self.0.call(HOOK_SERVICE, &hook.id.at.name(), "", true) else {
            return self.execute(hook.id).await;
        };
        match moment {
            Moment::Before if affects_one_call(kind) => {
                self.0.count_fault();
                fail(kind, hook).await
            }
            Moment::Before => {
                self.0.inject(kind);
                self.execute(hook.id).await
            }
            Moment::Lost => {
                let _ = self.execute(hook.id).await;
                self.lose_response(kind, hook).await
            }
            Moment::Answered if kind != FaultKind::Crash => {
                let result = self.execute(hook.id).await;
                self.0.inject(kind);
                result
            }
            Moment::Answered | Moment::Journalled => {
                let result = self.execute(hook.id).await;
                self.0.arm(moment, kind);
                result
            }
            Moment::Late => {
                self.execute_later(LATE, hook.id);
                self.lose_response(kind, hook).await
            }
            Moment::Past => {
                self.execute_later(NEAR_DEADLINE, hook.id);
                if kind == FaultKind::Crash {
                    self.0.crash_past_deadline();
                }
                tokio::time::sleep(hook.timeout).await;
                self.lose_response(kind, hook).await
            }
        }
    }

    async fn execute(&self, hook: HookId) -> CallResult {
        self.0.note(EntryContent::HookBegins(hook));
        tokio::time::sleep(HOOK_DURATION).await;
        self.0.note(EntryContent::HookEnds(hook));
        Ok(String::new())
    }

    /// Runs a call to its end, even if its process dies.
    fn execute_later(&self, delay: Duration, hook: HookId) {
        self.0.note(EntryContent::HookBegins(hook));
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            wire.note(EntryContent::HookEnds(hook));
        });
    }

    async fn lose_response(&self, kind: FaultKind, hook: &HookCall) -> CallResult {
        if affects_one_call(kind) {
            self.0.count_fault();
            return fail(kind, hook).await;
        }
        self.0.inject(kind);
        Err("killed by signal 9".into())
    }
}

/// Returns the error of a command or receiver that fails.
async fn fail(kind: FaultKind, hook: &HookCall) -> CallResult {
    match kind {
        FaultKind::TimeOut => {
            tokio::time::sleep(hook.timeout).await;
            Err(format!("takes longer than {:?}", hook.timeout))
        }
        FaultKind::ServerError => Err("exit code 1".into()),
        FaultKind::Malformed => Err("the receiver answered with 302".into()),
        _ => Err("killed by signal 9".into()),
    }
}
