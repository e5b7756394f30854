//! Decides which writes of a batch may be sent now. Every write that raises the share of a group needs a fresh reading
//! of this group.
//!
//! A step is decided on the last full observation, which takes minutes for a thousand groups. Therefore the executor
//! reads the groups that a chunk raises immediately before it writes the chunk, and calls [`judge_chunk`].

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::decision::Batch;
use super::{freeze, gates};
use crate::domain::health::gate::RaiseVerdict;
use crate::domain::run::event::{Wait, WaitReason, Write};
use crate::domain::run::state::State;
use crate::domain::traffic::RouteId;

/// The writes of a chunk that must wait, with the reasons.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChunkVerdict {
    /// The routes that are not written now and stay in the batch.
    pub waiting_routes: BTreeSet<RouteId>,
    /// The reasons, one per group.
    pub waits: Vec<Wait>,
}

/// Returns the groups that these writes raise, limited to the groups with a raise gate in this batch.
pub fn groups_to_read(state: &State, batch: &Batch, writes: &[Write]) -> Vec<String> {
    let all: BTreeSet<_> = writes.iter().flat_map(|write| gated_groups(state, batch, write)).collect();
    all.into_iter().collect()
}

fn gated_groups(state: &State, batch: &Batch, write: &Write) -> Vec<String> {
    let Some(route) = state.routes.get(&write.route) else { return Vec::new() };
    let mut groups = gates::raised_groups(state, &[(route, write.set.clone())]);
    groups.retain(|group| batch.raised_groups.contains(group));
    groups
}

/// Decides which writes of a chunk must wait. A write that raises the share of a group waits if the health of the group
/// was not read in the last ten seconds, or if the raise gate of the group does not pass. If a reading fails, all
/// writes of a batch that raises shares wait.
pub fn judge_chunk(c: &Context<'_>, batch: &Batch, writes: &[Write]) -> ChunkVerdict {
    let wait = |group: &String| match gates::raise_verdict(c, group, c.state.step, c.observed.max_sample_age()) {
        RaiseVerdict::Holds => None,
        raise => Some(gates::raise_wait(c, group, raise).unwrap_or_else(|| Wait {
            reason: WaitReason::RaiseGate,
            message: format!("{} was not read in time", c.name(group)),
            until: None,
        })),
    };
    let raised = |write: &Write| gated_groups(c.state, batch, write);
    let groups: BTreeSet<_> = writes.iter().flat_map(raised).collect();
    let waits: BTreeMap<_, _> = groups.iter().filter_map(|group| Some((group, wait(group)?))).collect();
    let unreadable = freeze::unreadable_wait(c.state, c.observed).filter(|_| !batch.raised_groups.is_empty());
    let waiting = writes
        .iter()
        .filter(|write| unreadable.is_some() || raised(write).iter().any(|group| waits.contains_key(group)));
    ChunkVerdict {
        waiting_routes: waiting.map(|write| write.route.clone()).collect(),
        waits: unreadable.map_or_else(|| waits.into_values().collect(), |wait| vec![wait]),
    }
}
