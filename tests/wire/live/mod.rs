//! The lab, and a run in it, over real sockets and in virtual time.

pub mod metrics;
mod shells;
