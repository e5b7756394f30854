//! Small vocabulary that every room may use. It imports nothing of this crate.

pub mod finding;
