//! The interfaces to AWS, Kubernetes and the local system: narrow traits in domain types. The traits have no default
//! methods, so that tests and production run the same code. [`adapter`](crate::adapter) and [`lab`](crate::lab)
//! implement them. Do not add decisions, retries or types of a vendor.

mod access;
mod balancer;
mod clock;
mod cluster;
mod compared;
mod error;
mod hooks;
mod inventory;
mod items;
mod metrics;
mod objects;
mod platform;
mod read_pace;
mod rules;
pub mod store;
mod tags;
mod traffic;

pub use access::AccessReview;
pub use balancer::LoadBalancerApi;
pub use clock::Clock;
pub use cluster::{Cluster, EndpointReport};
pub use compared::{ClusterConnections, ComparedCluster};
pub use error::WriteError;
pub use hooks::Hooks;
pub use inventory::{Caller, Detail, Groups, Inventory};
pub use items::{ClusterItems, ItemWrite};
pub use metrics::Metrics;
pub use objects::ClusterObjects;
pub use platform::ClusterPlatform;
pub use read_pace::{PacedApi, ReadPace, Tries, current_pace, with_pace};
pub use rules::RuleStore;
pub use tags::{TAG_BATCH_SIZE, TagStore};
pub use traffic::Traffic;
