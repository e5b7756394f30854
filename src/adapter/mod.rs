//! Implementations of the traits in [`port`](crate::port) over real services. SDK types must not leave this module, and
//! decisions about a run must not be added to it.

pub mod aws;
pub mod calls;
pub mod clock;
mod foreign_text;
pub mod hook;
pub mod http;
pub mod kubernetes;
pub mod metric;
pub mod network;
pub mod notify;
mod process;
pub mod store;
pub mod telemetry;
