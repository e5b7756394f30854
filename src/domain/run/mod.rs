//! Represents a run: the events, the journal, the state (computed from the events), and the observations of a process.
//! Do not add decisions (they belong in `decide`) or I/O (it belongs in `engine`).

pub mod comparison;
pub mod event;
pub mod frozen_plan;
pub mod header_rule;
pub mod hook;
pub mod journal;
pub mod observation;
pub mod script_use;
pub mod state;
pub mod unresolved;
