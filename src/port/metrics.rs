//! The interface to the sources of metric gates.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::health::HostCounts;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};

/// Reads metric sources. Do not judge values here: return an unreadable source as unreadable.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// Measures all requests. Returns one value for each request, in the same order.
    async fn measure(&self, measurements: &[MeasurementRequest]) -> Vec<MeasuredValue>;
    /// Reads from CloudWatch how many targets of these groups are healthy. A group is given as the ARN of the target
    /// group and the ARN of its load balancer. The counts are one to three minutes old. Omits groups without data.
    ///
    /// # Errors
    /// Returns a text that says why there are no counts.
    async fn host_counts(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, HostCounts>, String>;
    /// Reads from CloudWatch how many connections of Network Load Balancers are open. A group is given as the ARN of the
    /// target group and the ARN of its load balancer. A count is that of a target group or, where CloudWatch has none,
    /// that of the whole load balancer, by ARN; it is one to three minutes old. Omits what has no data.
    ///
    /// # Errors
    /// Returns a text that says why there are no counts.
    async fn open_connections(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, u64>, String>;
}
