//! Reads load balancers outside the loop of a run: for the preflight, `init`, `status` and the emergency. This is the
//! only part of the engine that uses a vendor's types. Decisions do not belong here.

pub mod facts;
mod init;
pub mod read_balancer;
mod retrying_clusters;
mod retrying_reads;

pub use init::init;
pub use retrying_clusters::{GIVE_UP, clusters_with_retries};
pub use retrying_reads::{is_temporary, with_retries};
