//! Reads load balancers outside the loop of a run: for the preflight, `init`, `status` and the emergency. This is the
//! only part of the engine that uses a vendor's types. Decisions do not belong here.

pub mod facts;
mod init;
pub mod live;
mod patient;

pub use init::init;
pub use patient::with_retries;
