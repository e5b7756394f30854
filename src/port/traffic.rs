//! The interface to routes and target health, which the engine uses in every loop iteration.

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
    /// Reads the current content of these routes. Returns one result for each route; a failure of one route does not
    /// affect the others.
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>>;
    /// Reads the targets of these target groups (ARNs) with their health. Returns one result for each group.
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>>;
    /// Reads every route of a load balancer, including the routes that other tools or people created.
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable>;
    /// Writes the content of one route and changes nothing else. Does not retry.
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError>;
}
