//! Read models: values for display about a plan, a run or a load balancer. No decisions and no formatting for a
//! terminal.

pub mod history;
pub mod init;
pub mod live;
pub mod report;
pub mod trace;
