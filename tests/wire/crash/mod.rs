//! Crash tests: the program is killed during a run, and its journal is damaged.
//!
//! `cargo test` runs a sample. With `CUTOVER_CRASH=full` (`tests/run crash`) all cases run, and the numbers are
//! printed.

pub mod connection;
mod journal;
mod killed;
pub mod lab;
mod lane;
mod secrets;

use crate::support::parameter;

/// Whether all cases run instead of a sample.
pub fn all_cases() -> bool {
    parameter::<String>("CUTOVER_CRASH").is_some_and(|value| value == "full")
}
