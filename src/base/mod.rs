//! Small building blocks that every module may use. They must not import other modules of this crate.

pub mod arn;
pub mod cron;
pub mod duration;
pub mod finding;
pub mod haproxy;
pub mod hours;
pub mod number;
pub mod partition;
pub mod rate;
pub mod redact;
pub mod retry;
pub mod text;
pub mod time;
