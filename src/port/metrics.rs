//! The sources of metric gates.

use async_trait::async_trait;

use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};

/// Reads metric sources. Do not add judgement: a source that cannot be read is reported as such.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// The result of each question, in their order.
    async fn measure(&self, questions: &[MeasurementRequest]) -> Vec<MeasuredValue>;
}
