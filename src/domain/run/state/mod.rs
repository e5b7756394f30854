//! The state of a run: a fold over its events. An event that the state does not allow is an error value, never a panic.
//! No clock, no I/O, no decisions.

mod fold;
mod legal;
mod model;

pub use legal::{Illegal, Stand};
pub use model::{
    AUTOMATIC, Baked, Detach, Drift, Frozen, Gate, LATE_READ, Open, Past, Paused, Phase, Progress, Ramping, Rollback,
    Route, State,
};
