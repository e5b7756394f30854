//! TargetGroupBindings: the fields that this tool sends and compares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::model::{PortRef, TargetType};

/// A TargetGroupBinding, wanted or found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The Service's name.
    pub service: String,
    /// The Service's port.
    pub port: PortRef,
    /// The group's ARN; may be empty on a found binding that names its group.
    pub target_group_arn: String,
    /// `ip` or `instance`; `None` where a found binding does not say.
    pub target_type: Option<TargetType>,
    /// Everything else in the `spec`, as JSON.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// Labels (found bindings; empty on a wanted one).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations (found bindings; empty on a wanted one).
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339; absent on a wanted one.
    #[serde(default)]
    pub created: Option<jiff::Timestamp>,
}
