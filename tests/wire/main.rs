//! What needs real sockets and processes.
//!
//! Four of its modules are tiers of `tests/run`, by their names: each test in them needs a program that is not Rust's, says so as
//! `#[ignore = "tier NAME"]`, and takes the program from the variable that the tier sets ([`programs`]). All others need nothing but Rust.
//!
//! - `contract`: moto, boto3 and the `aws` CLI, of the virtual environment of `tests/requirements.txt`
//! - `kubectl`: kubectl
//! - `prometheus`: Prometheus, with promtool beside it
//! - `stack`: two real API servers with two real load balancer controllers

#![allow(clippy::large_futures)] // a test's one future may be as large as it likes

mod child;
mod contract;
mod crash;
mod failures;
mod kubectl;
mod kubernetes;
mod live;
mod programs;
mod prometheus;
mod proxy;
mod stack;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod terminal;
