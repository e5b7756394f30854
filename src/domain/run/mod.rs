//! The model of a run: its events, its journal, the state as a fold over the events, and what the process observes
//! meanwhile. Pure values only; decisions belong in `decide`, I/O in `engine`.

pub mod event;
pub mod frozen_plan;
pub mod hook;
pub mod journal;
pub mod observation;
pub mod state;
