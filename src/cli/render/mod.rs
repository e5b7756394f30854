//! Renders values as text for people. Nothing here reads a clock, a terminal or the environment.

pub mod check;
pub mod dashboard;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod history;
pub mod load_balancer;
pub mod markdown;
pub mod report;
pub mod sections;
pub mod status;
pub mod style;
