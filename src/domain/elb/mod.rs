//! ELBv2: actions, listeners, rules and target groups, and how a plan selects routes among them. ELBv2's vocabulary
//! belongs here and not in `traffic`, `run` or `decide`.

pub mod action;
pub mod balancer;
mod census;
mod content;
mod name;
mod owners;
pub mod select;

pub use census::route_census;
pub use content::{ContentError, LIMITS, actions, content, kinds};
pub use name::{listener, route};
pub use owners::owners_from_tags;
