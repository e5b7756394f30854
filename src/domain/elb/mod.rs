//! ELBv2: actions, listeners, rules and target groups, and what plans and emergency scripts need to know of them.

pub mod action;
pub mod balancer;
pub mod init;
pub mod select;
pub mod shares;
