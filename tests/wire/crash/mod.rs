//! Real crashes: the program killed in the middle of a run, and what it wrote, damaged.
//!
//! `cargo test` runs a sample; with `CUTOVER_CRASH=full` (`tests/run crash`) it is the whole, and the numbers are printed.

mod journal;
mod killed;
mod lab;
mod lane;
mod secrets;
mod wire;

use crate::support::asked;

/// Whether this is the whole and not the sample.
fn whole() -> bool {
    asked::<String>("CUTOVER_CRASH").is_some_and(|value| value == "full")
}
