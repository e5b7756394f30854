//! Generates a plan for an existing load balancer (`cutover init`): pairs the target groups and renders the YAML. The
//! engine reads the facts; do not add I/O.

pub mod cluster;
pub mod haproxy;
mod header_route;
mod model;
mod pairs;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

pub use model::{InitError, InitFacts, InitRequest};
pub use write::write;
