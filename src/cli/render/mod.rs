//! What a person sees, as text made from values. Nothing here reads a clock, a terminal or the environment.

pub mod check;
pub mod dashboard;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod history;
pub mod live;
pub mod parts;
pub mod report;
pub mod status;
pub mod style;
