//! The state of a run: a fold over its events. An event that a state does not allow is a value, never a panic.

mod fold;
mod legal;
mod model;

pub use legal::{Illegal, Stand};
pub use model::{
    AUTOMATIC, Baked, Detach, Drift, Frozen, Gate, LATE_READ, Open, Past, Paused, Phase, Progress, Ramping, Rollback,
    Route, State,
};
