//! The verbs, one small file each: from arguments to an exit code.

pub mod completions;
pub mod man;
