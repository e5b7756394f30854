//! Computes values for display about a plan, a run or a load balancer. Do not add decisions or formatting for a
//! terminal.

pub mod check;
pub mod comparison;
pub mod final_weights;
pub mod gates;
pub mod history;
pub mod holds;
pub mod hooks;
pub mod hours;
pub mod init;
pub mod load_balancer;
pub mod permissions;
pub mod put_back;
pub mod runbook;
pub mod trace;
