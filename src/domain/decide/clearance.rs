//! Which writes of a batch may be sent with the current readings. Freshness is required per write that raises.
//!
//! A step is decided on the last full observation, which takes minutes for a thousand groups. So the executor reads the
//! groups that a chunk raises immediately before it writes the chunk, and asks here.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::decision::Batch;
use super::{gates, hold};
use crate::domain::health::gate::Raise;
use crate::domain::run::event::{Wait, WaitReason, Write};
use crate::domain::run::state::State;
use crate::domain::traffic::RouteId;

/// The writes of a chunk that must wait, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clearance {
    /// The routes that are not written now and stay in the batch.
    pub held: BTreeSet<RouteId>,
    /// The reasons, one per group.
    pub waits: Vec<Wait>,
}

/// The groups that these writes raise, limited to those that the batch gates.
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

/// Judges a chunk. A write waits if a group that it raises has no sample of the last ten seconds or fails its raise
/// gate. While anything is unreadable, every write of a raising batch waits.
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
