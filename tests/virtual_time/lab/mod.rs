//! The lab's world in virtual time, by its own calls: it behaves as the load balancers and clusters that it stands for.

mod api;
mod clusters;
mod common;
mod faults;
mod plans;
mod scenarios;
mod sdk;
mod traffic;
