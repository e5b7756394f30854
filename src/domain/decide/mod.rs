//! The only place where it is determined what happens next.
//!
//! [`decide`] looks at a [`Context`] and returns one [`Decision`]. The shell carries it out and asks again. No I/O belongs here, and no
//! vendor's word.

mod bake;
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
