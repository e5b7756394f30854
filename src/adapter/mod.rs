//! Implements the traits in [`port`](crate::port) with real services. Do not use SDK types outside this module, and do
//! not add decisions about a run.

pub mod aws;
mod balancers;
pub mod calls;
pub mod clock;
mod foreign_text;
pub mod haproxy;
pub mod hook;
pub mod http;
pub mod kubernetes;
pub mod metric;
pub mod network;
pub mod notify;
pub mod plan_secrets;
pub mod process;
pub mod store;
pub mod telemetry;

pub use balancers::Balancers;
