//! Commands and hooks of a simulated run: each is a call that is recorded, counted, and hit by the schedule's faults.

use std::future::pending;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use async_trait::async_trait;
use cutover::domain::decide::HookCall;
use cutover::domain::run::hook::HookId;
use cutover::port::Hooks;
use futures::FutureExt;

use super::aws::of_a_call;
use super::fault::{Kind, Moment, Point};
use super::history::What;
use super::wire::{Crash, LATE, OUTSIDE, PAST, Wire};

/// How long it takes.
const TAKES: Duration = Duration::from_secs(2);

type Heard = Result<String, String>;

/// See the module.
pub struct Outside(pub Wire);

#[async_trait]
impl Hooks for Outside {
    async fn call(&self, errand: &HookCall) -> Heard {
        match AssertUnwindSafe(self.exchange(errand)).catch_unwind().await {
            Ok(heard) => heard,
            // The process dies, not only this task of it.
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

impl Outside {
    async fn exchange(&self, errand: &HookCall) -> Heard {
        let Some(Point { moment, kind, .. }) = self.0.call(OUTSIDE, &errand.id.at.name(), "", true) else {
            return self.through(errand.id).await;
        };
        match moment {
            Moment::Before if of_a_call(kind) => {
                self.0.hit();
                fail(kind, errand).await
            }
            Moment::Before => {
                self.0.strike(kind);
                self.through(errand.id).await
            }
            Moment::Lost => {
                let _ = self.through(errand.id).await;
                self.lose(kind, errand).await
            }
            Moment::Answered if kind != Kind::Crash => {
                let heard = self.through(errand.id).await;
                self.0.strike(kind);
                heard
            }
            Moment::Answered | Moment::Journalled => {
                let heard = self.through(errand.id).await;
                self.0.arm(moment, kind);
                heard
            }
            Moment::Late => {
                self.later(LATE, errand.id);
                self.lose(kind, errand).await
            }
            Moment::Past => {
                self.later(PAST, errand.id);
                if kind == Kind::Crash {
                    self.0.die_past();
                }
                tokio::time::sleep(errand.timeout).await;
                self.lose(kind, errand).await
            }
        }
    }

    async fn through(&self, hook: HookId) -> Heard {
        self.0.note(What::Does(hook));
        tokio::time::sleep(TAKES).await;
        self.0.note(What::Did(hook));
        Ok(String::new())
    }

    /// A call that was started ends, even if its process dies.
    fn later(&self, delay: Duration, hook: HookId) {
        self.0.note(What::Does(hook));
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            wire.note(What::Did(hook));
        });
    }

    async fn lose(&self, kind: Kind, errand: &HookCall) -> Heard {
        if of_a_call(kind) {
            self.0.hit();
            return fail(kind, errand).await;
        }
        self.0.strike(kind);
        Err("killed by signal 9".into())
    }
}

/// The error of a command or a receiver that fails.
async fn fail(kind: Kind, errand: &HookCall) -> Heard {
    match kind {
        Kind::TimeOut => {
            tokio::time::sleep(errand.timeout).await;
            Err(format!("takes longer than {:?}", errand.timeout))
        }
        Kind::ServerError => Err("exit code 1".into()),
        Kind::Malformed => Err("it answers 302".into()),
        _ => Err("killed by signal 9".into()),
    }
}
