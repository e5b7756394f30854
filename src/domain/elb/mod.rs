//! ELBv2: actions, listeners, rules and target groups, and what plans and emergency scripts need to know of them.

pub mod action;
pub mod arn;
pub mod balancer;
mod content;
pub mod init;
pub mod select;

pub use content::{Foreign, LIMITS, actions, content, kinds};
