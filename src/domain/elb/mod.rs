//! ELBv2: actions, listeners, rules and target groups, and what plans and emergency scripts need to know of them.

pub mod action;
pub mod arn;
pub mod balancer;
mod census;
mod content;
mod owners;
pub mod select;

pub use census::census;
pub use content::{Foreign, LIMITS, actions, content, kinds};
pub use owners::owners;
