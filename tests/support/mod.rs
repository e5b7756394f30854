//! What all three test programs use. What fewer use does not belong here, but beside the tests that use it: nothing here is ever unused.
//!
//! Where a new test belongs, by what it needs:
//!
//! - nothing but values, or the files of this tree: `pure/`
//! - an AWS, clusters or time: `virtual_time/`, in a paused runtime over the lab in this process
//! - a socket or a process: `wire/`, with nothing but Rust outside its tiers
//! - a program of others: `wire/TIER/`, with `#[ignore = "tier TIER"]` under its test attribute; [`tests/run`](../run) sets its variable and runs it
//!
//! A folder here is a module of its program, and what several of its modules share is in one of them. A file that no `mod` reaches, an ignored test
//! without its tier, and a fourth program are found by `pure/tree.rs`. Scripts in this folder are the tests' own Python.

use std::str::FromStr;

/// What a variable asks of a test, such as a number of seeds.
///
/// # Panics
/// It is set, and is not that.
pub fn asked<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}
