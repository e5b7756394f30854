//! Who else writes to a route.

use serde::{Deserialize, Serialize};

/// A tool that manages a resource, by a tag of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Which.
    pub tool: Tool,
    /// The tag that says so, as `key=value`.
    pub tag: String,
}

/// Tools that write to load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tool {
    /// The AWS Load Balancer Controller, or EKS Auto Mode's.
    Controller,
    /// Terraform or one of its kin.
    Terraform,
    /// CloudFormation.
    CloudFormation,
    /// One that this build does not know: no reason not to read the rest of a run's start.
    #[serde(other)]
    Other,
}
