//! Small vocabulary that every room may use. It imports nothing of this crate.

pub mod duration;
pub mod finding;
pub mod hours;
pub mod number;
pub mod retry;
pub mod text;
pub mod time;
