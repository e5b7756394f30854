//! The lab: a simulated AWS and Kubernetes environment for rehearsals.
//!
//! `model` holds all behaviour and all faults, synchronously. Everything else connects it to sockets, to virtual time,
//! to load and to scenarios. No production code belongs here, and nothing here decides about a run.

pub mod body;
pub mod live;
pub mod load;
pub mod model;
pub mod objects;
pub mod rehearsal;
pub mod scenario;
pub mod shared_model;
pub mod virtual_time;
pub mod wire;
