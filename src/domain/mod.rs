//! The rules of a cutover, as pure functions over plain values.
//!
//! No async, no I/O, no clock, no SDK type may enter here: time is an argument, and what is to be done is returned as data. A room may use
//! those above it in this list, and none below.

pub mod traffic;
// One vendor's vocabulary each.
pub mod decide;
pub mod elb;
pub mod emergency;
pub mod health;
pub mod kubernetes;
pub mod metric;
pub mod preflight;
pub mod run;
pub mod view;

#[cfg(test)]
pub(crate) mod fixture;
