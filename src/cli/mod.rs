//! The command line: one small file a verb; rendering is pure.

pub mod args;
pub mod exit;
