//! Target groups, the targets in them, and the states of a target.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::balancer::Pairs;
use super::haproxy::Server;
use super::interface::{PodId, ProbeResult};

/// The target type of a group whose target is a function.
pub(crate) const LAMBDA: &str = "lambda";

/// The protocol of the groups and health checks of a Network Load Balancer.
pub(crate) const TCP: &str = "TCP";

/// A simulated target group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub arn: Arc<str>,
    pub name: String,
    pub protocol: String,
    pub protocol_version: String,
    pub port: u16,
    pub target_type: String,
    pub vpc: String,
    /// Index of the cluster that the plan assigns the group to; `None` for a third-party group.
    pub cluster: Option<usize>,
    pub check: HealthCheckSettings,
    pub attributes: Pairs,
    pub tags: Pairs,
    /// Indices of the load balancers that use the group. Targets are checked only if at least one load balancer uses
    /// the group.
    pub attached: Vec<usize>,
    /// The registered targets, by IP address or instance id, and port.
    pub targets: BTreeMap<(Arc<str>, u16), RegisteredTarget>,
    /// The servers of a backend of HAProxy; empty for a target group.
    pub servers: Vec<Server>,
    /// Targets that get requests; `None` if this list must be computed again.
    pub routable: Option<Vec<Destination>>,
    pub next_index: usize,
}

/// A target to which requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    pub pod: PodId,
    pub ip: Ipv4Addr,
    pub port: u16,
}

/// Health check settings of a group.
#[derive(Debug, Clone)]
pub(crate) struct HealthCheckSettings {
    pub enabled: bool,
    pub protocol: String,
    /// `traffic-port` or a port number.
    pub port: String,
    pub path: Arc<str>,
    pub matcher: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub healthy: u32,
    pub unhealthy: u32,
}

impl HealthCheckSettings {
    /// Returns whether an HTTP status satisfies the matcher, such as `200`, `200,302` or `200-299`. A check over TCP is
    /// passed by any answer.
    pub fn accepts(&self, status: u16) -> bool {
        self.protocol == TCP
            || self.matcher.split(',').any(|part| match part.split_once('-') {
                Some((low, high)) => {
                    low.trim().parse().is_ok_and(|l: u16| l <= status)
                        && high.trim().parse().is_ok_and(|h: u16| status <= h)
                }
                None => part.trim().parse() == Ok(status),
            })
    }
}

/// A registered target.
#[derive(Debug, Clone)]
pub(crate) struct RegisteredTarget {
    /// Number of this registration. Events of an earlier registration are ignored.
    pub registration: u64,
    pub pod: Option<PodId>,
    pub zone: String,
    pub state: LabTargetState,
    pub passed: u32,
    pub failed: u32,
}

/// The state of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LabTargetState {
    /// The group is not attached to a load balancer.
    Unused,
    /// The target is registered and not yet checked.
    Registering,
    /// Initial health checks are running.
    Checking,
    Healthy,
    /// The target is unhealthy, with the reason code of the API.
    Unhealthy(&'static str),
    /// The target is deregistered and drains until this time.
    Draining(Timestamp),
    /// Health checks are disabled.
    Unchecked,
}

impl LabTargetState {
    /// Returns state, reason and description as the API reports them.
    pub fn api_text(&self) -> (&'static str, Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Unused => (
                "unused",
                Some("Target.NotInUse"),
                Some("Target group is not configured to receive traffic from the load balancer"),
            ),
            Self::Registering => {
                ("initial", Some("Elb.RegistrationInProgress"), Some("Target registration is in progress"))
            }
            Self::Checking => ("initial", Some("Elb.InitialHealthChecking"), Some("Initial health checks in progress")),
            Self::Healthy => ("healthy", None, None),
            Self::Unhealthy(reason @ "Target.Timeout") => ("unhealthy", Some(*reason), Some("Request timed out")),
            Self::Unhealthy(reason @ "Target.ResponseCodeMismatch") => {
                ("unhealthy", Some(*reason), Some("Health checks failed with unexpected codes"))
            }
            Self::Unhealthy(reason) => ("unhealthy", Some(*reason), Some("Health checks failed")),
            Self::Draining(_) => {
                ("draining", Some("Target.DeregistrationInProgress"), Some("Target deregistration is in progress"))
            }
            Self::Unchecked => (
                "unavailable",
                Some("Target.HealthCheckDisabled"),
                Some("Health checks are disabled for this target group"),
            ),
        }
    }

    /// Returns whether the target gets health checks.
    pub fn checked(&self) -> bool {
        matches!(self, Self::Checking | Self::Healthy | Self::Unhealthy(_))
    }
}

impl RegisteredTarget {
    /// Records the result of a health check. A new target becomes healthy after one success, other targets after
    /// `healthy` successes. A target becomes unhealthy after `unhealthy` failures.
    pub fn record_check(&mut self, check: &HealthCheckSettings, result: ProbeResult) {
        let failure = match result {
            ProbeResult::Status(status) if check.accepts(status) => None,
            ProbeResult::Status(_) => Some("Target.ResponseCodeMismatch"),
            ProbeResult::Refused => Some("Target.FailedHealthChecks"),
            ProbeResult::Timeout => Some("Target.Timeout"),
        };
        if let Some(reason) = failure {
            self.passed = 0;
            self.failed += 1;
            if self.failed >= check.unhealthy || matches!(self.state, LabTargetState::Unhealthy(_)) {
                self.state = LabTargetState::Unhealthy(reason);
            }
        } else {
            self.failed = 0;
            self.passed += 1;
            if self.state == LabTargetState::Checking || self.passed >= check.healthy {
                self.state = LabTargetState::Healthy;
            }
        }
    }
}

impl Group {
    /// Returns how long a deregistered target drains.
    pub fn deregistration_delay(&self) -> Duration {
        let seconds = self.attributes.get("deregistration_delay.timeout_seconds").and_then(|s| s.parse().ok());
        Duration::from_secs(seconds.unwrap_or(300))
    }

    /// Returns whether any target passes its checks, or has none.
    pub fn has_healthy(&self) -> bool {
        self.targets.values().any(|t| matches!(t.state, LabTargetState::Healthy | LabTargetState::Unchecked))
    }

    /// Returns the target of the next request. Healthy targets take turns; if none is healthy, all unhealthy targets do
    /// (fail-open); `None` if the load balancer answers 503.
    pub fn next_target(&mut self, ip_of: impl Fn(PodId) -> Option<Ipv4Addr>) -> Option<Destination> {
        if self.routable.is_none() {
            let pick = |wanted: fn(&LabTargetState) -> bool| -> Vec<Destination> {
                let chosen = self.targets.iter().filter(|(_, t)| wanted(&t.state));
                chosen
                    .filter_map(|((_, port), t)| Some(Destination { pod: t.pod?, ip: ip_of(t.pod?)?, port: *port }))
                    .collect()
            };
            let healthy = pick(|s| matches!(s, LabTargetState::Healthy | LabTargetState::Unchecked));
            // HAProxy sends nothing to servers that fail their checks, even if all do.
            let fails_open = healthy.is_empty() && self.servers.is_empty();
            self.routable =
                Some(if fails_open { pick(|s| matches!(s, LabTargetState::Unhealthy(_))) } else { healthy });
        }
        let routable = self.routable.as_deref().unwrap_or_default();
        self.next_index = self.next_index.wrapping_add(1);
        (!routable.is_empty()).then(|| routable[self.next_index % routable.len()])
    }
}
