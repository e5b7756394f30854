//! Represents Kubernetes objects as plain values: bindings and workloads. Do not add API clients.

pub mod binding;
pub mod workload;
