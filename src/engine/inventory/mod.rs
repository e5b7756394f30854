//! Reads load balancers outside the loop of a run: for the preflight, `init`, `status` and the emergency commands. Only
//! this part of the engine uses types of a vendor. Do not add decisions.

pub mod facts;
mod first_contact;
pub mod header_rules;
mod init;
mod init_cluster;
pub mod items;
pub mod read_balancer;
mod read_pacer;
mod retrying_clusters;

pub use init::init;
pub use init_cluster::{InitCluster, init_cluster};
pub use read_pacer::{MAX_READ_TIME, ReadPacer, ReadProgress};
pub use retrying_clusters::{GIVE_UP, clusters_with_retries};
