//! Hooks: commands and HTTP requests of a plan.

use async_trait::async_trait;

use crate::domain::run::hook::Errand;

/// Runs hooks. Do not add decisions or retries.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs the hook. Returns its output, or why it failed. Dropping the future ends the hook.
    async fn call(&self, errand: &Errand) -> Result<String, String>;
}
