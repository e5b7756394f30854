//! The only place that decides what happens next.
//!
//! [`decide`] takes a [`Context`] and returns one [`Decision`]. The engine executes it and asks again. No I/O and no
//! vendor types belong here.

mod bake;
mod call;
mod carrying;
mod clearance;
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
pub use carrying::carrying;
pub use clearance::{Clearance, clear, raises};
pub use context::Context;
pub use decision::{Batch, Decision, Orders};
pub use detach::old as old_group;
pub use hold::blind;
pub use hooks::{errand, when as hook_when};
pub use leaving::{carries_on, stop};
pub use next::decide;
pub use way_back::{WayBack, carriers, way_back};
pub use words::{action as errand_line, label, line as command_line};
