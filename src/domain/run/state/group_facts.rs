//! Represents facts about target groups that a state computes from its other fields. They are computed in `groups`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::domain::run::event::Event;

/// Facts about target groups that change only with some events. A run asks for them several times per reading, so they
/// are computed once: otherwise the cost of a run would grow with the square of its routes. The corpus of journals holds
/// the kinds of events against the fold.
#[derive(Debug, Default)]
pub(super) struct GroupFacts {
    /// The groups with traffic, with their largest share in percent.
    pub carrying: OnceLock<BTreeMap<String, u32>>,
    pub returns: OnceLock<Returns>,
}

/// The groups that get traffic back.
#[derive(Debug)]
pub(super) struct Returns {
    /// For each group of a route: the groups that get the traffic of its routes back.
    pub of_group: BTreeMap<String, ReturnGroups>,
    /// All of these groups.
    pub all: BTreeSet<String>,
}

impl GroupFacts {
    /// Forgets the facts that an event may have changed. Returns whether the event may have changed the share of a
    /// group.
    pub fn forget_after(&mut self, event: &Event) -> bool {
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
        if changes_no_route {
            return false;
        }
        self.carrying = OnceLock::new();
        let changes_only_shares = matches!(
            event,
            Event::StepStarted { .. } | Event::Intended { .. } | Event::Outcome { .. } | Event::Drifted { .. }
        );
        if !changes_only_shares {
            self.returns = OnceLock::new();
        }
        true
    }
}

/// The groups that get the traffic of some routes back after a rollback.
#[derive(Debug, Default, PartialEq)]
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
