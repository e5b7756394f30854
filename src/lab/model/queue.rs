//! What is due, in order of time, and among equals in order of planning.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::routing::Effective;
use super::seam::{PodId, ProbeResult};
use crate::lab::wire::query::Query;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// A route's new actions reach the data plane.
    Propagate { route: usize, effective: Box<Effective> },
    /// A registered target gets its first health check.
    Registered(TargetRef),
    /// A health check.
    Probe(TargetRef),
    /// The result of a slow health check.
    Probed(TargetRef, ProbeResult),
    /// A deregistered target is gone.
    Drained(TargetRef),
    /// A pod's process comes up.
    PodStarted(PodId),
    /// The kubelet notices whether a pod serves.
    PodObserved(PodId),
    /// A pod that was told to end is gone.
    PodGone(PodId),
    /// The controllers of a cluster act.
    Reconcile(usize),
    /// The autoscalers of a cluster look.
    Autoscale(usize),
    /// A fault begins.
    Fault(usize),
    /// A fault ends by itself.
    FaultEnds(usize),
    /// Flapping pods go down or come up; how many times are left.
    Flap { fault: usize, down: bool, left: Option<u32> },
    /// A write that was never answered is carried out.
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

/// What is due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    due: BTreeMap<(Timestamp, u64), Due>,
    planned: u64,
}

impl Queue {
    /// Plans something.
    pub fn plan(&mut self, at: Timestamp, due: Due) {
        self.planned += 1;
        self.due.insert((at, self.planned), due);
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The first thing that is due by then.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| {
            let ((at, _), due) = first.remove_entry();
            (at, due)
        })
    }
}
