//! Computes values for display about a plan, a run or a load balancer. Do not add decisions or formatting for a
//! terminal.

pub mod check;
pub mod history;
pub mod init;
pub mod load_balancer;
pub mod trace;
