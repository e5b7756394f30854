//! Target health: counts, samples, and the gates over them. Do not add AWS calls or decisions about a run.

pub mod gate;

use serde::{Deserialize, Serialize};

/// Targets of a group by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
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
