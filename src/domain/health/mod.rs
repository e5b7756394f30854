//! Target health: counts, samples, and the gates over them. Do not add AWS calls or decisions about a run.

pub mod gate;

use serde::{Deserialize, Serialize};

/// A target and its health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Address or instance.
    pub id: String,
    /// Port.
    pub port: u16,
    /// Availability zone, where the balancer names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// State.
    pub state: TargetState,
    /// Reason code, such as `Target.Timeout`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The balancer's own explanation of the state, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub explanation: Option<String>,
}

/// AWS's reason for the state of a target whose group has its health checks off.
pub const HEALTH_CHECK_DISABLED: &str = "Target.HealthCheckDisabled";

impl Target {
    /// Whether its health checks are off, so that nobody knows whether it is healthy.
    pub fn is_unchecked(&self) -> bool {
        self.state == TargetState::Unavailable && self.reason.as_deref() == Some(HEALTH_CHECK_DISABLED)
    }
}

/// The health state of a target. An adapter maps a state that this build does not know to `Unavailable`, which is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// Passes its checks.
    Healthy,
    /// Registering, or not checked yet.
    Initial,
    /// Fails its checks.
    Unhealthy,
    /// Not checked: the group or the zone is not in use.
    Unused,
    /// Deregistering; shown until the deregistration delay has passed.
    Draining,
    /// Health checks are off, or the balancer cannot tell.
    Unavailable,
}

/// Targets of a group by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCounts {
    /// Healthy.
    pub healthy: u32,
    /// Initial.
    pub initial: u32,
    /// Unhealthy.
    pub unhealthy: u32,
    /// Unused.
    pub unused: u32,
    /// Draining.
    pub draining: u32,
    /// Unavailable.
    pub unavailable: u32,
}
