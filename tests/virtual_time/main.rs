//! Tests that need AWS and clusters and take hours of virtual time: the real engine, adapters and clients with the
//! simulated AWS in this process, on a paused clock.

#![allow(clippy::large_futures)] // the size of a test's future does not matter

mod engine;
mod lab;
mod pairs;
mod schedule;
mod simulation;
#[path = "../support/mod.rs"]
mod support;
mod waves;
