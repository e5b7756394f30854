//! The content of a route as read: its split, and everything that must be written back unchanged.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Split;

/// What a route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteContent {
    /// Members and weights: the only field that writes change.
    pub split: Split,
    /// Whether clients stay with their member. Written back as read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stickiness: Option<ClientStickiness>,
    /// Everything else, in the vendor's form.
    pub vendor_config: VendorConfig,
}

/// Whether and for how long a client stays with its member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientStickiness {
    /// Whether it is on.
    pub enabled: bool,
    /// Duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
}

/// What a vendor needs beside split and stickiness to write a route back as read. Only the vendor's own module
/// interprets it. Two equal values mean the same to the balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorConfig {
    /// The vendor.
    pub vendor: String,
    /// The version of the value's format.
    pub v: u32,
    /// The value; never contains a secret.
    pub value: Value,
}

impl RouteContent {
    /// Returns the split, if the route forwards.
    pub fn forward_split(&self) -> Option<&Split> {
        if self.split.members.is_empty() { None } else { Some(&self.split) }
    }

    /// Returns the stickiness, if it is on.
    pub fn sticky(&self) -> Option<&ClientStickiness> {
        self.stickiness.as_ref().filter(|sticky| sticky.enabled)
    }

    /// This content with another split.
    #[must_use]
    pub fn with_split(&self, split: &Split) -> Self {
        Self { split: split.clone(), stickiness: self.stickiness.clone(), vendor_config: self.vendor_config.clone() }
    }

    /// Whether two contents mean the same to the balancer.
    pub fn equivalent(&self, other: &Self) -> bool {
        self.split.equivalent(&other.split) && self.equivalent_except_split(other)
    }

    /// Whether everything except the split means the same to the balancer.
    pub fn equivalent_except_split(&self, other: &Self) -> bool {
        self.sticky() == other.sticky() && self.vendor_config == other.vendor_config
    }
}
