//! The Kubernetes adapter and the lab's API, with and without sockets, and the cases in which the lab and a real API
//! server must give the same responses.

mod adapter;
pub mod cases;
pub mod lab;
pub mod socket;
