//! Read models: what is shown of a plan, a run or a load balancer. Nothing here decides.

pub mod history;
pub mod init;
pub mod live;
pub mod report;
pub mod trace;
