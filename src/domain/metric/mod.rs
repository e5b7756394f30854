//! Evaluates metric gates: measurements, windows, and statistics. Do not add clients of metric sources.

pub mod gate;
pub mod verdict;
