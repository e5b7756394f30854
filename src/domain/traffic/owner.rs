//! Represents other tools that write to a route.

use serde::{Deserialize, Serialize};

/// A tool that manages a resource, according to a tag of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalOwner {
    /// The kind of tool.
    pub tool: OwnerTool,
    /// The tag that identifies the tool, as `key=value`.
    pub tag: String,
}

/// A kind of tool that writes to load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OwnerTool {
    /// The AWS Load Balancer Controller, or the controller of EKS Auto Mode.
    Controller,
    /// Terraform, OpenTofu or Terragrunt.
    Terraform,
    /// CloudFormation.
    CloudFormation,
    /// A tool that this build does not know, so that records with unknown tools stay readable.
    #[serde(other)]
    Other,
}
