//! The Kubernetes adapter and the lab's API, with and without sockets, and the cases that the lab and a real API server
//! must
//! answer alike.

mod adapter;
pub mod cases;
pub mod lab;
pub mod socket;
