//! Represents the health of targets, and evaluates gates on target health. Do not add AWS calls or decisions about a
//! run.

pub mod gate;

use serde::{Deserialize, Serialize};

/// A target of a target group, with its health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The IP address, instance ID or ARN of the target.
    pub id: String,
    /// The port of the target.
    pub port: u16,
    /// The availability zone; `None` if the load balancer does not report a zone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// The health state.
    pub state: TargetState,
    /// The reason code of the state, such as `Target.Timeout`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The load balancer's explanation of the state, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub explanation: Option<String>,
}

/// The reason code of AWS for targets of a group without health checks.
pub const HEALTH_CHECK_DISABLED: &str = "Target.HealthCheckDisabled";

impl Target {
    /// Whether the health checks of the target are off, so that its health is unknown.
    pub fn is_unchecked(&self) -> bool {
        self.state == TargetState::Unavailable && self.reason.as_deref() == Some(HEALTH_CHECK_DISABLED)
    }
}

/// The health state of a target. An adapter converts a state that this build does not know to `Unavailable`, which
/// counts as not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// The target passes the health checks.
    Healthy,
    /// The target is being registered, or was not checked yet.
    Initial,
    /// The target fails the health checks.
    Unhealthy,
    /// The target is not checked, because the group or the zone is not in use.
    Unused,
    /// The target is being deregistered. AWS lists it until the deregistration delay has passed.
    Draining,
    /// The health is unknown, because health checks are off or the load balancer cannot check.
    Unavailable,
}

/// The number of targets of a group in each health state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCounts {
    /// The number of targets in state `healthy`.
    pub healthy: u32,
    /// The number of targets in state `initial`.
    pub initial: u32,
    /// The number of targets in state `unhealthy`.
    pub unhealthy: u32,
    /// The number of targets in state `unused`.
    pub unused: u32,
    /// The number of targets in state `draining`.
    pub draining: u32,
    /// The number of targets in state `unavailable`.
    pub unavailable: u32,
}

/// The number of healthy and unhealthy targets of a group, as CloudWatch counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// The metric `HealthyHostCount`.
    pub healthy: u32,
    /// The metric `UnHealthyHostCount`.
    pub unhealthy: u32,
}

impl HealthCounts {
    /// Returns the sum of both counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            healthy: self.healthy + other.healthy,
            initial: self.initial + other.initial,
            unhealthy: self.unhealthy + other.unhealthy,
            unused: self.unused + other.unused,
            draining: self.draining + other.draining,
            unavailable: self.unavailable + other.unavailable,
        }
    }
}
