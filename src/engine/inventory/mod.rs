//! Reads what balancers there are, outside the loop of a run: for preflight, `init`, `status` and the emergency. This is the only part of the
//! engine that uses a vendor's types. Decisions do not belong here.

pub mod facts;
mod init;
pub mod live;
mod patient;

pub use init::init;
pub use patient::patient;
