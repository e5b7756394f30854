//! Two terminals: `cutover lab` in one, everything else in the other. Real processes, real sockets, and the environment
//! variables that the lab prints.

mod dialogue;
mod elsewhere;
mod errors;
mod finalize;
mod gates;
mod notify;
mod shared;
mod steering;
pub mod support;
mod telemetry;
mod webhook_server;
