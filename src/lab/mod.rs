//! The embedded world for rehearsals: one synchronous model, and thin shells around it.

pub mod body;
pub mod live;
pub mod load;
pub mod model;
pub mod objects;
pub mod paused;
pub mod rehearsal;
pub mod scenario;
pub mod shell;
pub mod wire;
