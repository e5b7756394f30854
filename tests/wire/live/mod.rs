//! The lab, and a run in it, over real sockets and in virtual time.

mod live_and_virtual;
pub mod metrics;
