//! Routes and target health: what the loop reads and writes in every turn.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::health::Target;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Unreadable};

/// Reads and writes routes, and reads the health of target groups. An implementation may repeat a throttled read, but
/// sends a write only once.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// The present content of these routes, one result each. A failure of one does not affect the others.
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>>;
    /// The targets of these groups with their health, one result each.
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>>;
    /// Every route of a load balancer, the routes that others made included.
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable>;
    /// Writes the content of a route and nothing else. Does not retry.
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError>;
}
