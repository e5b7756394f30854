//! What the loop needs at every turn: routes and target health.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::elb::balancer::Target;
use crate::domain::traffic::{Content, RouteId, Unreadable};

/// Reads and writes routes, and reads the health of target groups. A throttled read may be repeated behind it; a write is sent once.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// These routes as they are now, a result each; one that fails does not hold up the others.
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<Content, Unreadable>>;
    /// Targets and their health, a result for each group.
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>>;
    /// Writes what a route does, and nothing else of it. No retries.
    async fn set(&self, id: &RouteId, content: &Content, deadline: Duration) -> Result<(), WriteError>;
}
