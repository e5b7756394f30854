//! Tests of the simulated AWS and clusters in virtual time, by direct calls: they must behave as real load balancers
//! and clusters.

mod api;
mod clusters;
mod commands;
mod common;
mod connections;
mod faults;
mod plans;
mod reading;
mod scenarios;
mod sdk;
mod traffic;
