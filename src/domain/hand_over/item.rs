//! Represents the name of an item. Do not add what an item does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::model;

/// The kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the kinds of Kubernetes and KEDA with these names
pub enum ItemKind {
    CronJob,
    Deployment,
    StatefulSet,
    ScaledObject,
    ScaledJob,
}

impl ItemKind {
    const ALL: [Self; 5] = [Self::CronJob, Self::Deployment, Self::StatefulSet, Self::ScaledObject, Self::ScaledJob];

    /// Returns the name of the kind in the Kubernetes API.
    pub fn name(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::ScaledObject => "ScaledObject",
            Self::ScaledJob => "ScaledJob",
        }
    }

    /// Returns the name of what an item of this kind runs, for messages.
    pub fn runs(self) -> &'static str {
        if matches!(self, Self::CronJob | Self::ScaledJob) { "Job" } else { "pod" }
    }

    /// Whether an item of this kind has a number of pods; otherwise it is only on or off.
    pub fn has_count(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet)
    }
}

impl From<model::ItemKind> for ItemKind {
    fn from(kind: model::ItemKind) -> Self {
        match kind {
            model::ItemKind::CronJob => Self::CronJob,
            model::ItemKind::Deployment => Self::Deployment,
            model::ItemKind::StatefulSet => Self::StatefulSet,
            model::ItemKind::ScaledObject => Self::ScaledObject,
            model::ItemKind::ScaledJob => Self::ScaledJob,
        }
    }
}

/// An object that is handed over. It has the same kind, namespace and name in both clusters. Its text, in journals and
/// on the command line, is `CronJob/shop/nightly-report`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemId {
    /// The kind of the object.
    pub kind: ItemKind,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

/// A text that names no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name an item; write KIND/NAMESPACE/NAME, such as CronJob/shop/nightly-report")]
pub struct InvalidItem(String);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.name(), self.namespace, self.name)
    }
}

impl From<ItemId> for String {
    fn from(item: ItemId) -> Self {
        item.to_string()
    }
}

impl TryFrom<String> for ItemId {
    type Error = InvalidItem;

    fn try_from(text: String) -> Result<Self, InvalidItem> {
        text.parse()
    }
}

impl std::str::FromStr for ItemId {
    type Err = InvalidItem;

    fn from_str(text: &str) -> Result<Self, InvalidItem> {
        let parts: Vec<&str> = text.split('/').collect();
        let [kind, namespace, name] = parts[..] else { return Err(InvalidItem(text.to_owned())) };
        let kind = ItemKind::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(kind));
        match kind {
            Some(kind) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self { kind, namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidItem(text.to_owned())),
        }
    }
}
