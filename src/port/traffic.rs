//! What the loop needs at every turn: routes and target health.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::elb::action::Action;
use crate::domain::elb::balancer::{LiveRoute, Target};
use crate::domain::traffic::{RouteId, Unreadable};

/// Reads and writes routes, and reads the health of target groups. A throttled read may be repeated behind it; a write is sent once.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// These routes as they are now, a result each; one that fails does not hold up the others. Tags are left empty, and the
    /// port of a rule is 0 where its listener was not seen before.
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<LiveRoute, Unreadable>>;
    /// Targets and their health, a result for each group.
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>>;
    /// Replaces a route's actions, and nothing else of it: ModifyListener for a listener's ARN, ModifyRule for a rule's. No retries.
    async fn set(&self, id: &RouteId, actions: &[Action], deadline: Duration) -> Result<(), WriteError>;
}
