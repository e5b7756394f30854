//! Helpers that all three test programs use. A helper that fewer programs use belongs to the tests that use it, because
//! nothing here may be unused in a program.
//!
//! Where a new test belongs, by what it needs:
//!
//! - only values, or the files of this repository: `pure/`
//! - AWS, clusters or time: `virtual_time/`, in a paused runtime with the lab in this process
//! - a socket or a process: `wire/`; outside the tiers, tests there need only Rust
//! - a program of others: `wire/TIER/`, with `#[ignore = "tier TIER"]` under the test attribute; [`tests/run`](../run)
//!   sets the tier's variable and runs these tests
//!
//! A folder here is a module of its program; helpers that several of its modules share are in one of them.
//! `pure/tree.rs` finds files without a `mod` line, ignored tests outside a tier, and test programs that are not in
//! `Cargo.toml`. The scripts in this folder are the Python programs of the tests.

use std::str::FromStr;

/// Returns the value of an environment variable that configures a test, such as a number of seeds.
///
/// # Panics
/// The variable is set to an invalid value.
pub fn parameter<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}
