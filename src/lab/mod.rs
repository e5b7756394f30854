//! The embedded world for rehearsals: one synchronous model, and thin shells around it.

pub mod model;
pub mod objects;
pub mod scenario;
pub mod wire;
