//! Metric gates: samples, windows and the statistics that judge them.

pub mod gate;
pub mod verdict;
