//! Represents facts about target groups that a state computes from its other fields. They are computed in `groups`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::domain::run::event::Event;

/// Facts about target groups that change only with an event. A run asks for them several times per reading, so they are
/// computed once per event: otherwise the cost of a run would grow with the square of its routes.
#[derive(Debug, Default)]
pub(super) struct GroupFacts(pub(super) OnceLock<Facts>);

impl GroupFacts {
    /// Forgets the facts, unless the event is of a kind that changes no route. The corpus of journals holds this list
    /// against the fold.
    pub(super) fn forget_if_changed_by(&mut self, event: &Event) {
        let changes_no_route = matches!(
            event,
            Event::Waiting { .. }
                | Event::Health { .. }
                | Event::Baked { .. }
                | Event::Settled { .. }
                | Event::StepDone { .. }
                | Event::GateMeasured { .. }
                | Event::GateFailed { .. }
                | Event::VerdictChanged { .. }
                | Event::Compared(_)
                | Event::Notice { .. }
                | Event::Notified { .. }
        );
        if !changes_no_route {
            *self = Self::default();
        }
    }
}

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
