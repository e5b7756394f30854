//! The embedded world for rehearsals: one synchronous model, and thin shells around it.

pub mod objects;
pub mod wire;
