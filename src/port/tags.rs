//! The interface to tags on load balancers, listeners and rules. These tags contain a run's marker and the original
//! weights.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::traffic::{Tags, Unreadable};

/// The maximum number of resources in one call. This is AWS's limit for all calls that read or write tags.
pub const TAG_BATCH_SIZE: usize = 20;

/// Reads and writes tags. An implementation may repeat a throttled read, but sends a write only once.
#[async_trait]
pub trait TagStore: Send + Sync {
    /// Whether the resource with this id can have tags. The other calls must not name a resource that cannot.
    fn has_tags(&self, id: &str) -> bool;
    /// Reads the tags of resources by ARN. A resource without tags has an empty entry.
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable>;
    /// Adds or replaces tags of up to [`TAG_BATCH_SIZE`] resources. After an error, any of them may have the tags.
    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError>;
    /// Removes tags by key from up to [`TAG_BATCH_SIZE`] resources. After an error, any of them may still have the tags.
    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError>;
}
