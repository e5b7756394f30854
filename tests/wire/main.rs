//! Tests that need real sockets and processes.
//!
//! Six modules are tiers of `tests/run` with the same names. Each of their tests needs a program that is not written
//! in Rust, is marked `#[ignore = "tier NAME"]`, and finds the program through the variable that the tier sets
//! ([`programs`]). All other tests need only Rust.
//!
//! - `browser`: Chromium
//! - `contract`: moto, boto3 and the `aws` CLI, from the virtual environment of `tests/requirements.txt`
//! - `haproxy`: HAProxy
//! - `kubectl`: kubectl
//! - `prometheus`: Prometheus, with promtool in the same folder
//! - `stack`: two real API servers with two real load balancer controllers

#![allow(clippy::large_futures)] // the size of a test's future does not matter

mod browser;
mod child;
mod contract;
mod crash;
mod failures;
mod haproxy;
mod help;
mod kubectl;
mod kubernetes;
mod live;
mod network;
mod programs;
mod prometheus;
mod proxy;
mod readme;
mod stack;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod terminal;
