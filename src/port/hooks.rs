//! The interface that runs the hooks of a plan: commands and HTTP requests.

use async_trait::async_trait;

use crate::domain::decide::HookCall;

/// Runs hooks. Do not add decisions or retries.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a hook. Returns the output of the hook, or why the hook failed. Dropping the future ends the hook.
    async fn call(&self, call: &HookCall) -> Result<String, String>;
    /// Checks that the program of a command exists and can be executed here. The error has the path and the reason.
    fn locate(&self, program: &str) -> Result<(), String>;
}
