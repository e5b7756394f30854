//! The Kubernetes adapter and the lab's API, with sockets and without; and the cases that the lab and a real API server answer alike.

mod adapter;
pub mod cases;
pub mod lab;
pub mod socket;
