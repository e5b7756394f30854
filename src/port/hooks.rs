//! Hooks: commands and HTTP requests of a plan.

use async_trait::async_trait;

use crate::domain::decide::HookCall;

/// Runs hooks. Do not add decisions or retries.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs the hook. Returns its output, or why it failed. Dropping the future ends the hook.
    async fn call(&self, call: &HookCall) -> Result<String, String>;
}
