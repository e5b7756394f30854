//! Commands and hooks of a plan in a rehearsal. Nothing is executed: each command or hook succeeds unless the scenario
//! makes it fail.

use async_trait::async_trait;

use crate::domain::decide::HookCall;
use crate::domain::run::hook::HookPoint;
use crate::lab::shared_model::SharedModel;
use crate::port::Hooks;

/// Simulates the commands and hooks of a plan.
pub struct SimulatedHooks(pub SharedModel);

#[async_trait]
impl Hooks for SimulatedHooks {
    async fn call(&self, call: &HookCall) -> Result<String, String> {
        let fails = self.0.call(|world, now| {
            world.advance(now);
            let undo = call.id.at == HookPoint::Undo;
            call.name.as_deref().is_some_and(|name| world.hook_fails(name, undo))
        });
        if fails { Err("the scenario makes this fail".into()) } else { Ok("skipped: this is a rehearsal".into()) }
    }

    fn locate(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}
