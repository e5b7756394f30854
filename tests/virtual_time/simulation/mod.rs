//! The invariants as code, and runs under every fault at every call.
//!
//! `CUTOVER_SIMULATION=full` runs the whole schedule, `CUTOVER_SCHEDULE=small/resume/ModifyRule#0.lost.crash` replays
//! one of it; see README.

mod aws;
mod bugs;
mod checker;
mod ear;
mod face;
mod fault;
mod found;
mod history;
mod kube;
mod let_go;
mod life;
mod outside;
mod plans;
mod play;
mod seams;
mod store;
mod sweep;
mod wire;
