//! Represents facts about target groups that a state computes from its other fields. They are computed in `groups`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Facts about target groups that change only with an event. A run asks for them several times per reading, so they are
/// computed once per event: otherwise the cost of a run would grow with the square of its routes.
#[derive(Debug, Default)]
pub(super) struct GroupFacts(pub(super) OnceLock<Facts>);

#[derive(Debug)]
pub(super) struct Facts {
    /// The groups with traffic, with their largest share in percent.
    pub carrying: BTreeMap<String, u32>,
    /// For each group of a route: the groups that get the traffic of its routes back.
    pub returns: BTreeMap<String, ReturnGroups>,
    /// All groups that get traffic back.
    pub all_returns: BTreeSet<String>,
}

/// The groups that get the traffic of some routes back after a rollback.
#[derive(Debug, Default)]
pub struct ReturnGroups {
    /// The ARNs of the groups.
    pub arns: BTreeSet<String>,
    /// The sum of their healthy targets at the start of the run.
    pub baseline: u32,
}

/// Returns no facts. The copy of a state may be changed, so it must compute its own facts.
impl Clone for GroupFacts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The facts follow from the other fields of the state.
impl PartialEq for GroupFacts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
