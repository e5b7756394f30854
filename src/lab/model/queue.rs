//! The event queue, ordered by time, then by order of scheduling.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::routing::Effective;
use super::seam::{PodId, ProbeResult};
use crate::lab::wire::query::Query;

/// An event that is scheduled.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// A route's new actions reach the data plane.
    Propagate { route: usize, effective: Box<Effective> },
    /// A registered target gets its first health check.
    Registered(TargetRef),
    /// A health check.
    Probe(TargetRef),
    /// The result of a slow health check arrives.
    Probed(TargetRef, ProbeResult),
    /// A deregistered target has drained.
    Drained(TargetRef),
    /// A pod's process starts.
    PodStarted(PodId),
    /// The kubelet checks whether a pod serves.
    PodObserved(PodId),
    /// A terminated pod's process has ended.
    PodGone(PodId),
    /// The controllers of a cluster reconcile.
    Reconcile(usize),
    /// The autoscalers of a cluster evaluate.
    Autoscale(usize),
    /// A fault begins.
    Fault(usize),
    /// A fault ends.
    FaultEnds(usize),
    /// Flapping pods stop or restart; `left`: how many more times.
    Flap { fault: usize, down: bool, left: Option<u32> },
    /// A write that got no answer is carried out.
    Late(Box<Query>),
}

/// One registration of a target.
#[derive(Debug, Clone)]
pub(crate) struct TargetRef {
    pub group: usize,
    pub id: Arc<str>,
    pub port: u16,
    pub registration: u64,
}

/// The scheduled events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    due: BTreeMap<(Timestamp, u64), Due>,
    planned: u64,
}

impl Queue {
    /// Schedules an event.
    pub fn plan(&mut self, at: Timestamp, due: Due) {
        self.planned += 1;
        self.due.insert((at, self.planned), due);
    }

    /// Time of the next event.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes and returns the first event that is due.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| {
            let ((at, _), due) = first.remove_entry();
            (at, due)
        })
    }
}
