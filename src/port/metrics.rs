//! The interface to the sources of metric gates.

use async_trait::async_trait;

use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};

/// Reads metric sources. Do not judge values here: return an unreadable source as unreadable.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// Measures all requests. Returns one value for each request, in the same order.
    async fn measure(&self, measurements: &[MeasurementRequest]) -> Vec<MeasuredValue>;
}
