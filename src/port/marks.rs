//! Tags on load balancers, listeners and rules: the marker of a run, and the weights that it found.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::elb::balancer::Tags;
use crate::domain::traffic::Unreadable;

/// Reads and writes tags. A throttled read may be repeated behind it; a write is sent once.
#[async_trait]
pub trait Marks: Send + Sync {
    /// The tags of resources, by ARN; one without tags has an empty entry.
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable>;
    /// Adds or replaces tags of up to 20 resources at once; after an error any of them may have them.
    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError>;
    /// Removes tags by key of up to 20 resources at once; after an error any of them may still have them.
    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError>;
}
