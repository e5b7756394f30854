//! Target groups, their targets, and the life of a target: registered, checked, healthy, failing, draining.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::balancer::Pairs;
use super::seam::{PodId, ProbeResult};

/// A target group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub arn: Arc<str>,
    pub name: String,
    pub protocol: String,
    pub protocol_version: String,
    pub port: u16,
    pub target_type: String,
    pub vpc: String,
    /// Index of the cluster that the plan gives it to; `None`: third-party.
    pub cluster: Option<usize>,
    pub check: Check,
    pub attributes: Pairs,
    pub tags: Pairs,
    /// Load balancers that refer to it, by index: only then are its targets checked.
    pub attached: Vec<usize>,
    /// By address or instance, and port.
    pub targets: BTreeMap<(Arc<str>, u16), Registered>,
    /// Where requests go, as far as it is worked out.
    pub routable: Option<Vec<Destination>>,
    pub turn: usize,
}

/// A target that gets requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    pub pod: PodId,
    pub ip: Ipv4Addr,
    pub port: u16,
}

/// How targets are checked.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub enabled: bool,
    pub protocol: String,
    /// `traffic-port` or a number.
    pub port: String,
    pub path: Arc<str>,
    pub matcher: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub healthy: u32,
    pub unhealthy: u32,
}

impl Check {
    /// Whether a status is what the matcher wants: `200`, `200,302`, `200-299`.
    pub fn accepts(&self, status: u16) -> bool {
        self.matcher.split(',').any(|part| match part.split_once('-') {
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
pub(crate) struct Registered {
    /// Which registration this is: things that were due for an earlier one are void.
    pub registration: u64,
    pub pod: Option<PodId>,
    pub zone: String,
    pub state: State,
    pub passed: u32,
    pub failed: u32,
}

/// A target's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// The group is attached nowhere.
    Unused,
    /// Registered; not checked yet.
    Registering,
    /// The first checks run.
    Checking,
    Healthy,
    /// With the reason.
    Unhealthy(&'static str),
    /// Until then.
    Draining(Timestamp),
    /// Health checks are off.
    Unchecked,
}

impl State {
    /// State, reason and description as the API spells them.
    pub fn words(&self) -> (&'static str, Option<&'static str>, Option<&'static str>) {
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

    /// Whether health checks go to it.
    pub fn checked(&self) -> bool {
        matches!(self, Self::Checking | Self::Healthy | Self::Unhealthy(_))
    }
}

impl Registered {
    /// Counts a health check's result: healthy after one pass at first, again only after the whole threshold; unhealthy after enough failures.
    pub fn count(&mut self, check: &Check, result: ProbeResult) {
        let failure = match result {
            ProbeResult::Status(status) if check.accepts(status) => None,
            ProbeResult::Status(_) => Some("Target.ResponseCodeMismatch"),
            ProbeResult::Refused => Some("Target.FailedHealthChecks"),
            ProbeResult::Timeout => Some("Target.Timeout"),
        };
        if let Some(reason) = failure {
            self.passed = 0;
            self.failed += 1;
            if self.failed >= check.unhealthy || matches!(self.state, State::Unhealthy(_)) {
                self.state = State::Unhealthy(reason);
            }
        } else {
            self.failed = 0;
            self.passed += 1;
            if self.state == State::Checking || self.passed >= check.healthy {
                self.state = State::Healthy;
            }
        }
    }
}

impl Group {
    /// How long a deregistered target drains.
    pub fn deregistration_delay(&self) -> Duration {
        let seconds = self.attributes.get("deregistration_delay.timeout_seconds").and_then(|s| s.parse().ok());
        Duration::from_secs(seconds.unwrap_or(300))
    }

    /// Where the next request goes: the healthy ones in turn; all failing ones where none is healthy (fail-open); `None`: 503.
    pub fn next(&mut self, place: impl Fn(PodId) -> Option<Ipv4Addr>) -> Option<Destination> {
        if self.routable.is_none() {
            let pick = |wanted: fn(&State) -> bool| -> Vec<Destination> {
                let chosen = self.targets.iter().filter(|(_, t)| wanted(&t.state));
                chosen
                    .filter_map(|((_, port), t)| Some(Destination { pod: t.pod?, ip: place(t.pod?)?, port: *port }))
                    .collect()
            };
            let healthy = pick(|s| matches!(s, State::Healthy | State::Unchecked));
            self.routable = Some(if healthy.is_empty() { pick(|s| matches!(s, State::Unhealthy(_))) } else { healthy });
        }
        let routable = self.routable.as_deref().unwrap_or_default();
        self.turn = self.turn.wrapping_add(1);
        (!routable.is_empty()).then(|| routable[self.turn % routable.len()])
    }
}
