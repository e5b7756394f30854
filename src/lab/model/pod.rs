//! Pods as processes: whether they serve, and what they answer. Their objects are the cluster's.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::seam::{Asker, PodAnswer};

/// How long a healthy pod takes to answer.
const QUICK: Duration = Duration::from_millis(3);

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Index of the cluster; `None`: it stands outside.
    pub cluster: Option<usize>,
    pub namespace: String,
    pub name: Arc<str>,
    /// Name of its Deployment; empty where it has none.
    pub deployment: String,
    /// Hash of the template that it was made from.
    pub template: String,
    pub labels: BTreeMap<String, String>,
    pub ip: Ipv4Addr,
    pub port: u16,
    pub phase: Phase,
    /// Whether the kubelet has seen it serving.
    pub serving: bool,
    /// Types of its readiness gates, and whether they have passed.
    pub gates: Vec<String>,
    pub gates_passed: bool,
    /// What its health checks answer.
    pub health_status: u16,
    pub trouble: Trouble,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    Terminating,
    Gone,
}

/// What faults do to a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    /// The process is down.
    pub dead: bool,
    /// It answers this much later.
    pub slow: Duration,
    /// It answers with an error.
    pub error: Option<Failing>,
}

/// A pod that answers with errors.
#[derive(Debug, Clone)]
pub(crate) struct Failing {
    pub status: u16,
    /// Of the requests, 0–100.
    pub percent: u32,
    pub clients_only: bool,
    /// How much of an error is due, in percent. A cell, because asking a pod changes nothing else in the world.
    pub due: Cell<u32>,
}

impl Pod {
    /// Whether its process accepts connections.
    pub fn alive(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Terminating) && !self.trouble.dead
    }

    /// The condition `Ready`.
    pub fn ready(&self) -> bool {
        self.phase == Phase::Running && self.serving && (self.gates.is_empty() || self.gates_passed)
    }

    /// What it answers. Errors on some of the requests come evenly.
    pub fn answer(&self, asker: Asker) -> PodAnswer {
        if !self.alive() {
            return PodAnswer::Refused;
        }
        let delay = QUICK + self.trouble.slow;
        if let Some(failing) = &self.trouble.error
            && (asker == Asker::Client || !failing.clients_only)
        {
            let due = failing.due.get() + failing.percent;
            failing.due.set(due % 100);
            if due >= 100 {
                return PodAnswer::Status { status: failing.status, delay };
            }
        }
        let status = if asker == Asker::HealthCheck { self.health_status } else { 200 };
        PodAnswer::Status { status, delay }
    }
}
