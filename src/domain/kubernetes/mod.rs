//! Kubernetes, as plain values: bindings and workloads.

pub mod binding;
pub mod workload;
