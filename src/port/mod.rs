//! The interfaces to the outside: narrow traits in domain types without default methods, so that tests and production
//! take the same path. [`adapter`](crate::adapter) and [`lab`](crate::lab) implement them. Do not add decisions,
//! retries or a vendor's types.

mod balancer;
mod clock;
mod cluster;
mod error;
mod hooks;
mod inventory;
mod metrics;
pub mod store;
mod tags;
mod traffic;

pub use balancer::LoadBalancerApi;
pub use clock::Clock;
pub use cluster::Cluster;
pub use error::WriteError;
pub use hooks::Hooks;
pub use inventory::{Caller, Detail, Groups, Inventory};
pub use metrics::Metrics;
pub use tags::TagStore;
pub use traffic::Traffic;
