//! Where the numbers of metric gates come from.

use async_trait::async_trait;

use crate::domain::metric::gate::{Question, Seen};

/// Sources of metrics. Nothing here judges: a source that cannot be read answers so.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// What is seen of each question, in their order.
    async fn ask(&self, questions: &[Question]) -> Vec<Seen>;
}
