//! Represents ELBv2 resources (actions, listeners, rules, target groups), and selects the routes of a plan. Terms of
//! ELBv2 belong here, not in `traffic`, `run` or `decide`.

pub mod action;
pub mod balancer;
mod census;
mod content;
pub mod header_route;
mod name;
pub mod other_type;
mod owners;
pub mod rule;
pub mod select;

pub use census::route_census;
pub use content::{ContentError, LIMITS, actions, content, kinds};
pub use name::{listener, route};
pub use owners::owners_from_tags;
