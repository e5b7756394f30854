//! The interface that runs the hooks of a plan: commands and HTTP requests.

use async_trait::async_trait;

use crate::domain::decide::HookCall;

/// Runs hooks. Do not add decisions or retries.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a hook. Returns the output of the hook, or why the hook failed. Dropping the future ends the hook.
    async fn call(&self, call: &HookCall) -> Result<String, String>;
    /// Whether the program of a command exists and can be executed here; if not, its path and why not.
    fn locate(&self, program: &str) -> Result<(), String>;
}
