//! Represents the headers of a `setHeaderRoute` step in the checked plan.

use serde::{Deserialize, Serialize};

/// A header that a request must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// The name of the header; upper and lower case are the same.
    pub name: String,
    /// The whole value of the header.
    pub value: String,
}
