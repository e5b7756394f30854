//! Decides what a run does next. Decisions are made only here.
//!
//! [`decide`] takes a [`Context`] and returns one [`Decision`]. The engine executes the decision and calls [`decide`]
//! again. Do not add I/O or vendor types.

mod after_deletion;
mod after_end;
mod bake;
mod call;
mod carrying;
mod chunk_gate;
pub mod comparison;
mod context;
mod decision;
pub mod desired_split;
pub mod drift_cause;
pub mod drift_text;
mod failure;
pub mod finalize;
mod floors;
mod freeze;
mod gates;
mod guard;
pub mod hand_over;
pub mod header_rules;
mod hooks;
pub mod hours;
mod left_out;
pub mod metrics;
pub mod newer;
mod next;
mod ramp;
mod reconcile;
mod replacement;
mod retire;
mod rollback;
mod route_status;
mod routes_check;
#[cfg(test)]
mod scenarios;
mod step_exit;
mod step_text;
mod steps;
#[cfg(test)]
mod tests;
mod way_back;

pub use after_end::{FailureAfterEnd, failure_after_end};
pub use call::{HookCall, HookInput};
pub use chunk_gate::{ChunkVerdict, groups_to_read, judge_chunk};
pub use context::Context;
pub use decision::{Batch, Decision, HeaderTask, ProcessOptions};
pub use freeze::unreadable_wait;
pub use guard::failing_groups;
pub use hooks::{hook_call, occasion_text};
pub use next::decide;
pub use reconcile::events as observed_events;
pub use retire::old_group;
pub use rollback::{groups_with_connections, sticky_clients_left};
pub use step_exit::{is_continuous, stop_reason, stop_reason_now};
pub use step_text::hand_over as hand_over_text;
pub use step_text::{action_line, command_line, label};
pub use way_back::{NO_WAY_BACK, WayBack, no_target_text, refuses_rollback, way_back, way_back_by};
