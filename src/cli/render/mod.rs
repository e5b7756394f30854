//! Renders values as text for people. Clocks, the terminal and the environment must not be read in this module.

pub mod check;
pub mod compare;
pub mod dashboard;
pub mod events;
pub mod final_weights;
pub mod fit;
#[cfg(test)]
pub(in crate::cli) mod fixture;
pub mod history;
pub mod load_balancer;
pub mod markdown;
pub mod permissions;
pub mod report;
pub mod sections;
pub mod status;
pub mod style;
pub mod wrap;
