//! Processes of pods: whether a pod serves, and how it answers. The Kubernetes objects of pods belong to `cluster`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::interface::{PodAnswer, Requester};

/// Response time of a healthy pod.
const RESPONSE_TIME: Duration = Duration::from_millis(3);

/// A simulated pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Index of the cluster; `None` if the server runs outside the plan's clusters.
    pub cluster: Option<usize>,
    pub namespace: String,
    pub name: Arc<str>,
    /// Name of the Deployment that owns the pod; empty if no Deployment owns it.
    pub deployment: String,
    /// Hash of the pod template.
    pub template: String,
    pub labels: BTreeMap<String, String>,
    pub ip: Ipv4Addr,
    pub port: u16,
    pub phase: Phase,
    /// Whether the kubelet considers the pod serving.
    pub serving: bool,
    /// Condition types of the readiness gates.
    pub gates: Vec<String>,
    pub gates_passed: bool,
    /// HTTP status with which the pod answers health checks.
    pub health_status: u16,
    pub faults: PodFaults,
}

/// Lifecycle phase of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    Terminating,
    Gone,
}

/// Active faults of a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodFaults {
    /// The process of the pod is not running.
    pub dead: bool,
    /// Delay that a fault adds to the response time.
    pub slow: Duration,
    /// The pod answers requests with an error.
    pub error: Option<ErrorFault>,
}

/// A fault that makes a pod answer with errors.
#[derive(Debug, Clone)]
pub(crate) struct ErrorFault {
    pub status: u16,
    /// Percentage of the requests that fail, 0–100.
    pub percent: u32,
    pub clients_only: bool,
    /// The sum of the percentages of failing requests so far: a request fails when the sum reaches 100. This is a
    /// `Cell`, because a request changes nothing else in the model.
    pub due: Cell<u32>,
}

impl Pod {
    /// Returns whether the pod's process accepts connections.
    pub fn alive(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Terminating) && !self.faults.dead
    }

    /// Returns the value of the pod condition `Ready`.
    pub fn ready(&self) -> bool {
        self.phase == Phase::Running && self.serving && (self.gates.is_empty() || self.gates_passed)
    }

    /// Returns how the pod answers one request. Errors are spread evenly over the requests.
    pub fn answer(&self, requester: Requester) -> PodAnswer {
        if !self.alive() {
            return PodAnswer::Refused;
        }
        let delay = RESPONSE_TIME + self.faults.slow;
        if let Some(failing) = &self.faults.error
            && (requester == Requester::Client || !failing.clients_only)
        {
            let due = failing.due.get() + failing.percent;
            failing.due.set(due % 100);
            if due >= 100 {
                return PodAnswer::Status { status: failing.status, delay };
            }
        }
        let status = if requester == Requester::HealthCheck { self.health_status } else { 200 };
        PodAnswer::Status { status, delay }
    }
}
