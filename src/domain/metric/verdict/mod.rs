//! Implements the statistics of metric gates as pure functions: a sequential test of error rates, and a rank test of
//! latencies.
//!
//! A window has the counts between two readings while the shares did not change. When the shares change, all windows
//! are discarded.

pub mod bound;
pub mod judge;
pub mod ranks;
pub mod rates;

use serde::{Deserialize, Serialize};

/// The number of requests to one cluster in a period, and the number of failed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCount {
    /// The number of all requests.
    pub requests: u64,
    /// The number of failed requests; never more than `requests`.
    #[serde(default)]
    pub errors: u64,
}

impl RequestCount {
    /// Returns the sum of two counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            errors: self.errors.saturating_add(other.errors),
        }
    }

    /// Returns the fraction of failed requests, 0–1; 0 without requests.
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

/// The counts of both clusters in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The counts of the old cluster.
    pub old: RequestCount,
    /// The counts of the new cluster.
    pub new: RequestCount,
}
