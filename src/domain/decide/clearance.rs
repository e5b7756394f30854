//! What of a batch may be written on the readings that there are now: freshness for a raise is asked per write.
//!
//! A step is decided on the last look at everything, which takes minutes where there are a thousand groups. So the executor reads the groups
//! that a chunk raises right before it writes the chunk, and asks here.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::decision::Batch;
use super::{gates, hold};
use crate::domain::health::gate::Raise;
use crate::domain::run::event::{Wait, WaitReason, Write};
use crate::domain::run::state::State;
use crate::domain::traffic::RouteId;

/// What of a chunk is not written yet, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clearance {
    /// The routes that stay in the batch.
    pub held: BTreeSet<RouteId>,
    /// Why, once for each group.
    pub waits: Vec<Wait>,
}

/// The groups that these writes of a batch raise, of those that the batch holds to a gate.
pub fn raises(state: &State, batch: &Batch, writes: &[Write]) -> Vec<String> {
    let all: BTreeSet<_> = writes.iter().flat_map(|write| raised(state, batch, write)).collect();
    all.into_iter().collect()
}

fn raised(state: &State, batch: &Batch, write: &Write) -> Vec<String> {
    let Some(route) = state.routes.get(&write.route) else { return Vec::new() };
    let mut groups = gates::raised(state, &[(route, write.set.clone())]);
    groups.retain(|group| batch.raises.contains(group));
    groups
}

/// Judges a chunk: a write is held where a group that it raises was not read within the last ten seconds or its gate does not hold now, and
/// every write of a batch that raises is held while something cannot be read.
pub fn clear(c: &Context<'_>, batch: &Batch, writes: &[Write]) -> Clearance {
    let wait = |group: &String| match gates::gate_of(c, group, c.state.step, c.watch.fresh()) {
        Raise::Holds => None,
        raise => Some(gates::why_not(c, group, raise).unwrap_or_else(|| Wait {
            reason: WaitReason::RaiseGate,
            message: format!("{} was not read in time", c.name(group)),
            until: None,
        })),
    };
    let raised = |write: &Write| raised(c.state, batch, write);
    let groups: BTreeSet<_> = writes.iter().flat_map(raised).collect();
    let waits: BTreeMap<_, _> = groups.iter().filter_map(|group| Some((group, wait(group)?))).collect();
    let blind = hold::blind(c.state, c.watch).filter(|_| !batch.raises.is_empty());
    let held =
        writes.iter().filter(|write| blind.is_some() || raised(write).iter().any(|group| waits.contains_key(group)));
    Clearance {
        held: held.map(|write| write.route.clone()).collect(),
        waits: blind.map_or_else(|| waits.into_values().collect(), |wait| vec![wait]),
    }
}
