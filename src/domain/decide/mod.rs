//! The only place that decides what happens next.
//!
//! [`decide`] takes a [`Context`] and returns one [`Decision`]. The engine executes it and asks again. No I/O and no
//! vendor types belong here.

mod bake;
mod call;
mod carrying;
mod chunk_gate;
mod context;
mod decision;
mod detach;
mod failure;
pub mod finalize;
mod gates;
pub mod goal;
mod guard;
mod hold;
mod hooks;
pub mod hours;
mod leaving;
pub mod metrics;
pub mod newer;
mod next;
mod ramp;
mod reconcile;
pub mod rival;
mod rollback;
mod standing;
mod steps;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;
mod way_back;
mod words;

pub use call::{HookCall, HookInput};
pub use carrying::groups_with_traffic;
pub use chunk_gate::{ChunkVerdict, judge_chunk, groups_to_read};
pub use context::Context;
pub use decision::{Batch, Decision, ProcessOptions};
pub use detach::old_group as old_group;
pub use hold::unreadable_wait;
pub use hooks::{hook_call, occasion_text as hook_when};
pub use leaving::{is_continuous, stop_reason};
pub use next::decide;
pub use way_back::{WayBack, groups_after_rollback, way_back};
pub use words::{action_line as errand_line, label, command_line as command_line};
