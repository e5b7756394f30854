//! Represents all routes of a load balancer, regardless of who created them.

use serde::{Deserialize, Serialize};

use super::{ExternalOwner, RouteContent, RouteId, Unreadable};

/// All routes of a load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteCensus {
    /// The routes that could be read.
    pub routes: Vec<FoundRoute>,
    /// The routes that could not be read.
    pub unread: Vec<UnreadRoute>,
}

/// A route as read from a load balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRoute {
    /// The route's id.
    pub id: RouteId,
    /// The ARN of the load balancer that the route belongs to.
    pub load_balancer: String,
    /// The ARN of the listener that the route belongs to.
    pub listener: String,
    /// The name in messages, such as `443 rule 15`.
    pub label: String,
    /// The conditions as text; empty for a default action.
    pub conditions: String,
    /// The content of the route.
    pub content: RouteContent,
    /// The other tools that write to the route, according to tags.
    pub owners: Vec<ExternalOwner>,
}

/// A route that could not be read, or all routes of a listener whose list of routes could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadRoute {
    /// The route's id.
    pub id: RouteId,
    /// The name in messages, such as `443 rule 15`, `443 rules`.
    pub label: String,
    /// The ids of the groups that the route forwards to; empty if unknown.
    pub groups: Vec<String>,
    /// Why the route could not be read.
    pub why: Unreadable,
}

impl UnreadRoute {
    /// Whether the route may forward to one of these groups.
    pub fn may_concern<'a>(&self, groups: impl IntoIterator<Item = &'a String>) -> bool {
        self.groups.is_empty() || groups.into_iter().any(|arn| self.groups.contains(arn))
    }
}

/// Whether two texts describe the same conditions of a rule, in any order. AWS does not guarantee an order of
/// conditions and values.
pub fn same_conditions(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut conditions: Vec<Vec<String>> =
            text.split(" and ").map(|c| c.split(' ').map(str::to_owned).collect()).collect();
        for words in &mut conditions {
            words.sort_unstable();
        }
        conditions.sort_unstable();
        conditions
    };
    one == other || sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_conditions_does_not_matter() {
        let all = "host a.example and path /api* /ad*";
        assert!(same_conditions(all, "path /ad* /api* and host a.example"));
        for other in ["host a.example and path /api*", "path /api* and path /ad* and host a.example", "host /api* /ad*"]
        {
            assert!(!same_conditions(all, other), "{other}");
        }
    }
}
