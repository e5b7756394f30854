//! What a route does, as it was read: its split, and what must be written back beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Split;

/// What a route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Members and weights: the only part that writes change.
    pub split: Split,
    /// Whether clients stay with their member; echoed on every write as it was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sticky: Option<Sticky>,
    /// Everything else.
    pub rest: Rest,
}

/// How long a client stays with its member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// Whether it is on.
    pub enabled: bool,
    /// For how long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
}

/// What a vendor needs beside split and stickiness to write a route back as it was read. Only the vendor's own room opens it; two that
/// are equal mean the same to the balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rest {
    /// Whose it is.
    pub vendor: String,
    /// The version of the value's form.
    pub v: u32,
    /// The value; never with a secret in it.
    pub value: Value,
}

impl Content {
    /// The split, where the route forwards anywhere.
    pub fn forwards(&self) -> Option<&Split> {
        if self.split.members.is_empty() { None } else { Some(&self.split) }
    }

    /// The stickiness, where it is on.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref().filter(|sticky| sticky.enabled)
    }

    /// The same content with another split.
    #[must_use]
    pub fn with(&self, split: &Split) -> Self {
        Self { split: split.clone(), sticky: self.sticky.clone(), rest: self.rest.clone() }
    }

    /// Whether two contents mean the same to the balancer.
    pub fn same(&self, other: &Self) -> bool {
        self.split.same(&other.split) && self.same_beside(other)
    }

    /// Whether everything but the split means the same to the balancer.
    pub fn same_beside(&self, other: &Self) -> bool {
        self.sticky() == other.sticky() && self.rest == other.rest
    }
}
