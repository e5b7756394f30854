//! Other tools that write to a route.

use serde::{Deserialize, Serialize};

/// A tool that manages a resource, as one of its tags says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalOwner {
    /// The tool.
    pub tool: OwnerTool,
    /// The tag that says so, as `key=value`.
    pub tag: String,
}

/// Tools that write to load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OwnerTool {
    /// The AWS Load Balancer Controller, or EKS Auto Mode's.
    Controller,
    /// Terraform, OpenTofu or Terragrunt.
    Terraform,
    /// CloudFormation.
    CloudFormation,
    /// A tool that this build does not know. The rest of the record is still readable.
    #[serde(other)]
    Other,
}
