//! The queue of scheduled events, ordered by time, then by order of scheduling.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::NamespacedName;
use super::interface::{PodId, ProbeResult};
use super::routing::EffectiveAction;
use crate::lab::wire::query::Query;

/// A scheduled event of the model.
#[derive(Debug, Clone)]
pub(crate) enum LabEvent {
    /// The data plane applies the new actions of a route.
    Propagate { route: usize, effective: Box<EffectiveAction> },
    /// A registered target gets its first health check.
    Registered(TargetRef),
    /// A target gets a health check.
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
    /// The schedule of a CronJob is due.
    CronJobDue(usize, NamespacedName),
    /// A Job ends.
    JobEnded(usize, NamespacedName),
    /// The autoscalers (HPAs) of a cluster evaluate.
    Autoscale(usize),
    /// A fault begins.
    Fault(usize),
    /// A fault ends.
    FaultEnds(usize),
    /// Flapping pods stop or restart; `left` is the number of further changes.
    Flap { fault: usize, down: bool, left: Option<u32> },
    /// A write that got no response takes effect.
    Late(Box<Query>),
    /// Commands to HAProxy that got no response take effect.
    LateLine { address: String, line: String },
}

/// Identifies one registration of a target in a group.
#[derive(Debug, Clone)]
pub(crate) struct TargetRef {
    pub group: usize,
    pub id: Arc<str>,
    pub port: u16,
    pub registration: u64,
}

/// The scheduled events, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Timestamp, u64), LabEvent>,
    last_number: u64,
}

impl Queue {
    /// Schedules an event.
    pub fn schedule(&mut self, at: Timestamp, due: LabEvent) {
        self.last_number += 1;
        self.events.insert((at, self.last_number), due);
    }

    /// Returns the time of the next event.
    pub fn next(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes and returns the first event that is due at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, LabEvent)> {
        let first = self.events.first_entry()?;
        (first.key().0 <= now).then(|| {
            let ((at, _), due) = first.remove_entry();
            (at, due)
        })
    }
}
