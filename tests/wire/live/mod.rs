//! The lab and what surrounds a run over real sockets, and the same in virtual time.

pub mod metrics;
mod shells;
