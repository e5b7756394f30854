//! The engine's contract, made executable: real plans and scenarios through the real engine and adapters, over the lab
//! in virtual time.
//!
//! Every run here is watched by a witness at the balancer's seam ([`witness`]), which holds each write to the
//! invariants.

mod emergency;
pub mod face;
mod finalize;
mod gates;
mod hooks;
mod hurry;
mod journals;
mod matrix;
mod newer;
mod order;
mod other_actors;
mod ramp;
mod recovery;
mod requests;
mod small;
mod store;
mod theatre;
mod views;
mod witness;
