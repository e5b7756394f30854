//! `cutover` moves production traffic from one Kubernetes cluster to the next, step by step, at Application and Network
//! Load Balancers of AWS and at HAProxy.
//!
//! The modules of the crate, top to bottom. A dependency (a `use`, or any other path to a file) points down only:
//!
//! - [`cli`]: the command line, one file per command; arguments, rendering, the terminal. Nothing that another surface
//!   would need.
//! - [`app`]: what the command line, a scheduler's call, a controller and a page share: wiring, finding, preparing,
//!   beginning, following and steering runs.
//! - [`lab`]: the simulated environment for rehearsals, which the same adapters reach over the same wire protocols.
//! - [`adapter`]: implementations of the ports for real systems.
//! - [`engine`]: the loop: observe, decide, journal, write, read back.
//! - [`port`]: interfaces to the outside, as traits in domain types.
//! - [`domain`]: the rules as pure functions: shares and weights, gates, the state as a fold over events, `decide`. No
//!   async, no I/O, no clock. A module inside `domain` uses only the modules before it in this list: `traffic`, `elb` and
//!   `haproxy`, `kubernetes`, `health`, `metric` and `hand_over`, `run`, `decide`, `preflight`, `compare` and `waves`, `emergency` and
//!   `view`.
//! - [`plan`]: the plan file, from bytes to a checked value, with diagnostics that name line and column.
//! - [`base`]: small building blocks that import nothing of this crate.
//!
//! `mod` declarations and re-exports of items below a file's own folder do not count as dependencies; a dependency on a
//! re-exported name leads to the file that defines it. Files of `domain`, `engine` and `app` do not use each other in
//! cycles. Only `adapter` and `lab` use the AWS SDK, `kube` and `hyper`; `domain`, `plan` and `base` do not use `tokio`
//! and `async-trait`. `tests/pure/rooms` enforces all of this.

pub mod adapter;
pub mod app;
pub mod base;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod lab;
pub mod plan;
pub mod port;
