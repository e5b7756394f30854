//! Small building blocks that every module may use. They import nothing of this crate; do not add anything that does.

pub mod arn;
pub mod duration;
pub mod finding;
pub mod hours;
pub mod number;
pub mod partition;
pub mod rate;
pub mod redact;
pub mod retry;
pub mod text;
pub mod time;
