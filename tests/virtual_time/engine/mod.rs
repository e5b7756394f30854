//! Tests of the engine: real plans and scenarios through the real engine and adapters, over the lab in virtual time.
//!
//! In every run, a checker between the engine and the load balancer API ([`write_checker`]) checks each write against the
//! invariants.

mod compare;
mod connections;
mod emergency;
mod evacuation;
mod finalize;
mod gates;
pub mod hand_over;
mod header_route;
mod hooks;
mod hurry;
mod instances;
mod journals;
pub mod large;
mod matrix;
mod newer;
mod order;
mod other_actors;
mod ramp;
mod recovery;
mod requests;
pub mod route_actions;
mod small;
mod stickiness;
mod store;
pub mod test_run;
mod views;
pub mod whole_cluster;
mod write_checker;
