//! Writing a plan from a live load balancer: which groups pair up, and the YAML that says so. Pure; the engine looks, this writes.

mod model;
mod pairs;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

pub use model::{InitError, Request, Seen};
pub use write::write;
