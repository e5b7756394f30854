//! Computes the state of a run from its events. An event that the state does not allow is an error value, never a
//! panic. Do not add a clock, I/O or decisions.

mod fold;
mod group_facts;
mod groups;
mod header_rules;
mod legal;
mod model;
mod other_actors;

pub use group_facts::ReturnGroups;
pub use legal::{IllegalEvent, StateSummary};
pub use model::{
    AUTOMATIC, BakeProgress, Drift, Frozen, GateHistory, HookProgress, HoursOverride, LATE_READ, OpenWrites, Paused,
    Phase, RampProgress, ReplacedSplit, Retirement, Rollback, Route, State,
};
