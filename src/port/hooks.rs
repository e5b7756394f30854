//! Commands and requests that a plan calls outside.

use async_trait::async_trait;

use crate::domain::run::hook::Errand;

/// Carries out hooks. Nothing here decides, and nothing is tried twice.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Does it; what it said, or why it did not succeed. Dropped before it has ended, it is ended.
    async fn call(&self, errand: &Errand) -> Result<String, String>;
}
