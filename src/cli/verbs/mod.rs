//! The commands, one small file for each: from arguments to an exit code. Code that another surface would need belongs
//! to `app`.

pub mod check;
pub mod compare;
pub mod completions;
pub mod evacuate;
pub mod finalize;
pub mod handover;
pub mod help;
pub mod history;
pub mod init;
pub mod lab;
pub mod man;
pub mod permissions;
mod refusal;
pub mod rehearse;
pub mod report;
pub mod rollback;
pub mod run;
mod run_question;
pub mod runbook;
pub mod schema;
pub mod status;
pub mod steer;
pub mod step;
