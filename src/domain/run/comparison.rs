//! Represents the verdict of the compare gate: whether the last comparison of both clusters allows a raise.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The result of a comparison of both clusters. It is journalled whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Comparison {
    /// Why no share of the new cluster may be raised, one text for each reason; empty if raises are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// The number of reasons that `held` leaves out.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
    /// The number of errors that hold a raise.
    pub errors: usize,
    /// The number of warnings.
    pub warnings: usize,
    /// The number of findings that the plan accepts or ignores.
    #[serde(skip_serializing_if = "is_zero")]
    pub accepted: usize,
    /// The facts that the run has never been able to read, such as `b: list nodes`. They do not hold a raise.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A comparison of this process, with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The time at which the reads of both clusters were complete.
    pub at: Timestamp,
    /// The result of the comparison.
    pub comparison: Comparison,
}

impl Comparison {
    /// Whether a share of the new cluster may rise.
    pub fn allows_raises(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns the reason for a wait in one line; empty if raises are allowed.
    pub fn reason(&self) -> String {
        let more = match self.held.len().saturating_sub(1) + self.more {
            0 => String::new(),
            1 => "; and one more reason".to_owned(),
            more => format!("; and {more} more reasons"),
        };
        self.held.first().map(|first| format!("{first}{more}")).unwrap_or_default()
    }

    /// Returns the numbers in one line, such as `1 error, 2 warnings, 3 facts unknown`.
    pub fn counts(&self) -> String {
        use crate::base::number::count;
        let parts = [
            Some(count(self.errors, "error")),
            Some(count(self.warnings, "warning")),
            (self.accepted > 0).then(|| format!("{} accepted", self.accepted)),
            (!self.unknown.is_empty()).then(|| format!("{} unknown", count(self.unknown.len(), "fact"))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
