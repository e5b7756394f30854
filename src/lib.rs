//! `cutover` moves production traffic from one Kubernetes cluster to the next, step by step, at an AWS Application Load Balancer.
//!
//! The rooms of the crate. A room may use those below it in this list, and none above it; `tests/` holds the code to that.
//!
//! - [`cli`]: the command line, one file a verb.
//! - [`app`]: what the command line, a scheduler's call, a controller and a page share: wiring, finding, preparing, beginning, following.
//! - [`lab`]: the embedded world for rehearsals, which the same adapters reach over the same wire protocols.
//! - [`adapter`]: the real things behind the seams.
//! - [`engine`]: the loop: observe, decide, journal, write, read back.
//! - [`port`]: the seams, as traits in domain types.
//! - [`domain`]: the rules, pure: shares and weights, gates, the state as a fold over events, `decide`.
//! - [`plan`]: the plan file, from bytes to a checked value, with diagnostics that have a place.
//! - [`base`]: small vocabulary that imports nothing of this crate.

pub mod adapter;
pub mod app;
pub mod base;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod lab;
pub mod plan;
pub mod port;
