//! What needs an AWS and clusters, and takes hours of virtual time: real engine, adapters and clients over the lab in
//! this process, on a paused clock.

#![allow(clippy::large_futures)] // a test's one future may be as large as it likes

mod engine;
mod lab;
mod pairs;
mod schedule;
mod simulation;
#[path = "../support/mod.rs"]
mod support;
