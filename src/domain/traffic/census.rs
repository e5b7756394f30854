//! All routes of a load balancer, whoever created them.

use serde::{Deserialize, Serialize};

use super::{ExternalOwner, RouteContent, RouteId, Unreadable};

/// All routes of a load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteCensus {
    /// Those that could be read.
    pub routes: Vec<FoundRoute>,
    /// Those that could not.
    pub unread: Vec<UnreadRoute>,
}

/// A route as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRoute {
    /// The route's id.
    pub id: RouteId,
    /// Its load balancer.
    pub load_balancer: String,
    /// The vendor's id of its listener.
    pub listener: String,
    /// A name for people, such as `443 rule 15`.
    pub label: String,
    /// Its conditions in words; empty for a default action.
    pub conditions: String,
    /// What the route does.
    pub content: RouteContent,
    /// Other tools that write to it.
    pub owners: Vec<ExternalOwner>,
}

/// A route that could not be read; or all routes of a listener, if their list could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadRoute {
    /// The route's id.
    pub id: RouteId,
    /// A name for people, such as `443 rule 15`, `443 rules`.
    pub label: String,
    /// The members that it forwards to, as far as known; empty: unknown.
    pub groups: Vec<String>,
    /// Why it could not be read.
    pub why: Unreadable,
}

impl UnreadRoute {
    /// Whether it may forward to one of these groups.
    pub fn may_concern<'a>(&self, groups: impl IntoIterator<Item = &'a String>) -> bool {
        self.groups.is_empty() || groups.into_iter().any(|arn| self.groups.contains(arn))
    }
}

/// Whether two texts name the same conditions of a rule. AWS does not promise an order of conditions and of their values.
pub fn same_conditions(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut conditions: Vec<Vec<String>> =
            text.split(" and ").map(|c| c.split(' ').map(str::to_owned).collect()).collect();
        conditions.iter_mut().for_each(|words| words.sort_unstable());
        conditions.sort_unstable();
        conditions
    };
    one == other || sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_the_same_in_every_order() {
        let all = "host a.example and path /api* /ad*";
        assert!(same_conditions(all, "path /ad* /api* and host a.example"));
        for other in ["host a.example and path /api*", "path /api* and path /ad* and host a.example", "host /api* /ad*"]
        {
            assert!(!same_conditions(all, other), "{other}");
        }
    }
}
