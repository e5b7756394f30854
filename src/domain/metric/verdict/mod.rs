//! What measurements of two sides allow to say, pure: error rates by a test that may be looked at at any time, latencies by ranks.
//!
//! A window is what was counted between two looks while the shares stood still. With other shares everything begins anew.

pub mod bound;
pub mod judge;
pub mod ranks;
pub mod rates;

use serde::{Deserialize, Serialize};

/// Requests of one side within some time, and those of them that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// All.
    pub requests: u64,
    /// Failed; never more than `requests`.
    #[serde(default)]
    pub errors: u64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            errors: self.errors.saturating_add(other.errors),
        }
    }

    /// The part that failed, 0–1; 0 of nothing.
    pub fn rate(self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed() / self.all() }
    }

    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^53
    fn all(self) -> f64 {
        self.requests as f64
    }

    #[allow(clippy::cast_precision_loss)]
    fn failed(self) -> f64 {
        self.errors as f64
    }
}

/// What one window counted on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The side that gives traffic away.
    pub old: Count,
    /// The side that takes it.
    pub new: Count,
}
