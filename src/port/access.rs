//! The interface that asks a Kubernetes API server about permissions.

use async_trait::async_trait;

use crate::domain::traffic::Unreadable;
use crate::domain::view::permissions::Grant;

/// Asks the API server of one cluster what the caller may do.
#[async_trait]
pub trait AccessReview: Send + Sync {
    /// Returns whether the caller has a permission.
    async fn allowed(&self, grant: &Grant) -> Result<bool, Unreadable>;
}
