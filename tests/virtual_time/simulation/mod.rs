//! Checks the invariants of the design as code, in runs with every fault at every call.
//!
//! `CUTOVER_SIMULATION=full` runs all schedules, `CUTOVER_SCHEDULE=small/resume/ModifyRule#0.lost.crash` replays one of
//! them; see README.md.

mod aws;
mod bugs;
mod checker;
mod fault;
mod finalize;
mod found;
mod haproxy;
mod history;
mod hooks;
mod kube;
mod plans;
mod processes;
mod recorders;
pub mod route_actions;
mod runner;
mod store;
mod subscriber;
mod sweep;
mod wire;
