//! `cutover` moves production traffic from one Kubernetes cluster to the next, step by step, at an AWS Application Load Balancer.
//!
//! The rooms of the crate, top to bottom. An arrow (a `use`, or any other path to a file) points down only:
//!
//! - [`cli`]: the command line, one file a verb; arguments, rendering, the terminal. Nothing that another surface would need.
//! - [`app`]: what the command line, a scheduler's call, a controller and a page share: wiring, finding, preparing, beginning, following, steering.
//! - [`lab`]: the embedded world for rehearsals, which the same adapters reach over the same wire protocols.
//! - [`adapter`]: the real things behind the seams.
//! - [`engine`]: the loop: observe, decide, journal, write, read back.
//! - [`port`]: the seams, as traits in domain types.
//! - [`domain`]: the rules, pure: shares and weights, gates, the state as a fold over events, `decide`. No async, no I/O, no clock.
//!   Inside it a later one of `traffic`, `elb`, `kubernetes`, `health` and `metric`, `run`, `decide`, `preflight`, `emergency` and `view`
//!   uses earlier ones only.
//! - [`plan`]: the plan file, from bytes to a checked value, with diagnostics that have a place.
//! - [`base`]: small vocabulary that imports nothing of this crate.
//!
//! `mod` and the re-export of something below the own folder are no arrows; an arrow to a re-exported name leads to the file that defines it.
//! Files of `domain`, `engine` and `app` use each other in no circle. The AWS SDK, `kube` and `hyper` are for `adapter` and `lab`; `tokio` and
//! `async-trait` stay out of `domain`, `plan` and `base`. `tests/pure/rooms` holds the code to all of this.

pub mod adapter;
pub mod app;
pub mod base;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod lab;
pub mod plan;
pub mod port;
