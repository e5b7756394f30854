//! Which routes a plan moves: the plan's selectors, laid over what is live. Every action is either selected or skipped with a reason.

mod choose;
mod entry;
mod model;
mod resolve;
#[cfg(test)]
mod tests;

pub use super::arn::name as short_name;
pub use choose::{select, select_at};
pub use model::{Listeners, LiveWorld, SelectedEntry, SelectedGroup, SelectedRoute, Selection, Skip, Skipped, spelled};
pub(crate) use resolve::unreadable as unread;
