//! The plan file: from bytes to a checked [`model::Plan`], or all that is wrong with it, each with its place.

pub mod model;
