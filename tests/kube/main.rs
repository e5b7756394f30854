//! The Kubernetes adapter and the lab's API, with sockets and without.

mod adapter;
mod kubectl;
