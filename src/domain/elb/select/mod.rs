//! Decides which routes a plan manages, by applying the plan's selectors to the live resources. Every route is either
//! selected, or skipped with a reason.

mod choose;
mod entry;
mod model;
mod only;
mod resolve;
#[cfg(test)]
mod tests;

pub use crate::base::arn::name as short_name;
pub use choose::{select, select_at};
pub use model::{
    ExistingNames, Listeners, LiveResources, SelectedEntry, SelectedGroup, SelectedRoute, Selection, SkipReason,
    SkippedRoute, selector_text,
};
pub use only::{BalancerReadError, exactly_one_match};
pub(crate) use resolve::unreadable as unread;
