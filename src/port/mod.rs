//! The seams to the world: narrow traits in domain types, without default methods, so that tests and production take the same path. What
//! stands behind them is in [`adapter`](crate::adapter) and [`lab`](crate::lab). No decision, no retry and no vendor's type belongs here.

mod balancer;
mod clock;
mod cluster;
mod error;
mod hooks;
mod inventory;
mod marks;
mod metrics;
pub mod store;
mod traffic;

pub use balancer::Balancer;
pub use clock::Clock;
pub use cluster::Cluster;
pub use error::WriteError;
pub use hooks::Hooks;
pub use inventory::{Caller, Detail, Groups, Inventory};
pub use marks::Marks;
pub use metrics::Metrics;
pub use traffic::Traffic;
