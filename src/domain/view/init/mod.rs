//! `cutover init`: writes a plan for an existing load balancer. Pairs the target groups and renders the YAML. Pure; the
//! engine reads the facts.

mod model;
mod pairs;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

pub use model::{InitError, InitFacts, InitRequest};
pub use write::write;
