//! Represents the content of a route: the split, and everything that must be written back unchanged.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Split;

/// The content of a route as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteContent {
    /// The members and weights. Writes change only this field.
    pub split: Split,
    /// The stickiness of clients. Writes do not change it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stickiness: Option<ClientStickiness>,
    /// Identifies the process that has the content only in its memory and forgets it when it restarts; `None` if the
    /// load balancer stores the content. Writes do not change it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<String>,
    /// All other parts of the route, in the format of the vendor.
    pub vendor_config: VendorConfig,
}

/// Whether and how long a client stays at the same member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientStickiness {
    /// Whether stickiness is on.
    pub enabled: bool,
    /// The duration of the stickiness, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
}

/// The parts of a route that a vendor needs, in addition to split and stickiness, to write the route back as read. Only
/// the module of the vendor interprets these parts. Equal values have the same effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorConfig {
    /// The name of the vendor's format.
    pub vendor: String,
    /// The version of the format.
    pub v: u32,
    /// The parts in the format of the vendor. Never contains a secret.
    pub value: Value,
}

impl RouteContent {
    /// Returns the split; `None` if the route does not forward.
    pub fn forward_split(&self) -> Option<&Split> {
        if self.split.members.is_empty() { None } else { Some(&self.split) }
    }

    /// Returns the stickiness; `None` if stickiness is off.
    pub fn sticky(&self) -> Option<&ClientStickiness> {
        self.stickiness.as_ref().filter(|sticky| sticky.enabled)
    }

    /// Returns this content with another split.
    #[must_use]
    pub fn with_split(&self, split: &Split) -> Self {
        Self { split: split.clone(), ..self.clone() }
    }

    /// Whether two contents have the same effect at the load balancer.
    pub fn equivalent(&self, other: &Self) -> bool {
        self.split.equivalent(&other.split) && self.equivalent_except_split(other)
    }

    /// Whether two contents have the same effect at the load balancer except for the split.
    pub fn equivalent_except_split(&self, other: &Self) -> bool {
        self.sticky() == other.sticky() && self.process == other.process && self.vendor_config == other.vendor_config
    }

    /// Whether the other content was read from another process of the same load balancer that has the same weights, for
    /// example because it reads the weights of the earlier process from a file.
    pub fn kept_as(&self, other: &Self) -> bool {
        let process = other.process.clone();
        self.restarted_as(other) && Self { process, ..self.clone() }.equivalent(other)
    }

    /// Whether the other content was read from a later process of the same load balancer, which may have forgotten
    /// weights.
    pub fn restarted_as(&self, other: &Self) -> bool {
        self.process.is_some() && other.process.is_some() && self.process != other.process
    }
}
