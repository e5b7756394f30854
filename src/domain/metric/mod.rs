//! Metric gates: measurements, windows, and the statistics that judge them. Do not add clients of metric sources.

pub mod gate;
pub mod verdict;
