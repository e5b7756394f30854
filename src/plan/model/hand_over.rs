//! Represents `handOver` steps in the checked plan.

use std::time::Duration;

/// A `handOver` step: items that must not run in two clusters at once.
#[derive(Debug, Clone, PartialEq)]
pub struct HandOver {
    /// The items, CronJobs first, each in the order of the file.
    pub items: Vec<ItemRef>,
    /// Whether another tool moves the items (`mode: verify`).
    pub verify: bool,
    /// How long running Jobs and pods of the side that stops may take to end.
    pub drain: Duration,
    /// Whether an item is started in the new cluster before it is stopped in the old one.
    pub overlap: bool,
}

/// One item, or all items with some labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRef {
    /// The kind of the objects.
    pub kind: ItemKind,
    /// The namespace of the objects.
    pub namespace: String,
    /// Which objects.
    pub select: ItemSelector,
}

/// Which objects of a namespace are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemSelector {
    /// The object with this name.
    Name(String),
    /// All objects with these labels, in the syntax of Kubernetes.
    Labels(String),
}

/// The kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the kinds of Kubernetes and KEDA with these names
pub enum ItemKind {
    CronJob,
    Deployment,
    StatefulSet,
    ScaledObject,
    ScaledJob,
}
