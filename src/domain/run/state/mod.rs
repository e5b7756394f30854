//! The state of a run: a fold over its events. An event that the state does not allow is an error value, never a panic.
//! No clock, no I/O, no decisions.

mod fold;
mod legal;
mod model;
mod other_actors;

pub use legal::{IllegalEvent, StateSummary};
pub use model::{
    AUTOMATIC, BakeProgress, Drift, Frozen, GateHistory, HookProgress, LATE_READ, OpenWrites, Paused, Phase,
    RampProgress, ReplacedSplit, Retirement, Rollback, Route, State,
};
