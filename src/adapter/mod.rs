//! The real things behind the seams of [`port`](crate::port). SDK types stop here.

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
