//! `cutover` moves production traffic from one Kubernetes cluster to the next, step by step, at an AWS Application Load Balancer.
//!
//! The map of the crate:
//!
//! - [`plan`]: the plan file, from bytes to a checked value, with diagnostics that have a place.
//! - [`domain`]: the rules, pure: shares and weights, gates, the state as a fold over events, `decide`.
//! - [`engine`]: the shell around them: observe, decide, journal, act, verify.
//! - [`adapter`]: the seams to the world, and the real things behind them.
//! - [`lab`]: the embedded world for rehearsals, spoken to by the same adapters over the same wire protocols.
//! - [`cli`]: the command line, one file a verb.

pub mod adapter;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod lab;
pub mod plan;
