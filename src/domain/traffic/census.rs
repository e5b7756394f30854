//! The routes that a load balancer has, whoever made them.

use serde::{Deserialize, Serialize};

use super::{Content, Owner, RouteId, Unreadable};

/// Every route of a load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// Those that could be read.
    pub found: Vec<Found>,
    /// Those that could not.
    pub unread: Vec<Unread>,
}

/// A route, as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which.
    pub id: RouteId,
    /// Its load balancer.
    pub load_balancer: String,
    /// For people, such as `443 rule 15`.
    pub label: String,
    /// Its conditions in words.
    pub conditions: String,
    /// What it does.
    pub content: Content,
    /// Who else writes to it.
    pub owners: Vec<Owner>,
}

/// A route that could not be read, or all of one place where not even their list could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// Which.
    pub id: RouteId,
    /// For people, such as `443 rule 15`, `443 rules`.
    pub label: String,
    /// The members that it forwards to, as far as can be told; empty: nobody knows.
    pub groups: Vec<String>,
    /// Why.
    pub why: Unreadable,
}

impl Unread {
    /// Whether it may forward to one of these groups.
    pub fn may_concern<'a>(&self, groups: impl IntoIterator<Item = &'a String>) -> bool {
        self.groups.is_empty() || groups.into_iter().any(|arn| self.groups.contains(arn))
    }
}
