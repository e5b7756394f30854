//! Implements the rules of a cutover, as pure functions over plain values.
//!
//! Do not add async code, I/O, a clock or SDK types here: time is an argument, and effects are returned as data. A
//! module may use only the modules before it in this order: traffic; elb, kubernetes; health, metric, hand_over; run;
//! decide; preflight; compare, waves; emergency; view.

pub mod compare;
pub mod decide;
pub mod elb;
pub mod emergency;
pub mod hand_over;
pub mod haproxy;
pub mod health;
pub mod kubernetes;
pub mod metric;
pub mod preflight;
pub mod run;
pub mod traffic;
pub mod view;
pub mod waves;

#[cfg(test)]
pub(crate) mod fixture;
