//! The lab: a simulated AWS and Kubernetes environment for rehearsals.
//!
//! `model` simulates AWS and Kubernetes and applies all faults, synchronously. The other modules connect the model to
//! sockets, virtual time, load and scenarios. Production code and decisions about a run must not be added here.

pub mod body;
pub mod live;
pub mod load;
pub mod model;
pub mod objects;
pub mod promql;
pub mod rehearsal;
pub mod runtime_api;
pub mod scenario;
pub mod shared_model;
pub mod virtual_time;
pub mod wire;
