//! The interface that reads the facts that AWS has about one EKS cluster, for a comparison.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::compare::platform::{Addon, Deprecation, EksDescription, Subnet, Support};
use crate::domain::traffic::Unreadable;

/// Reads the facts that AWS has about one EKS cluster. Changes nothing. Each method makes calls of one IAM action, so
/// that a caller can name a missing permission.
#[async_trait]
pub trait ClusterPlatform: Send + Sync {
    /// Reads the description of the cluster (`eks:DescribeCluster`).
    async fn describe(&self) -> Result<EksDescription, Unreadable>;
    /// Reads the names of the add-ons (`eks:ListAddons`).
    async fn addon_names(&self) -> Result<BTreeSet<String>, Unreadable>;
    /// Reads an add-on (`eks:DescribeAddon`).
    async fn addon(&self, name: &str) -> Result<Addon, Unreadable>;
    /// Reads the versions of an add-on that EKS offers for a Kubernetes version such as `1.33`
    /// (`eks:DescribeAddonVersions`).
    async fn addon_versions(&self, addon: &str, kubernetes: &str) -> Result<BTreeSet<String>, Unreadable>;
    /// Reads the IDs of the upgrade insights that do not pass (`eks:ListInsights`).
    async fn insights(&self) -> Result<Vec<String>, Unreadable>;
    /// Reads the deprecated APIs of an upgrade insight (`eks:DescribeInsight`).
    async fn deprecations(&self, insight: &str) -> Result<Vec<Deprecation>, Unreadable>;
    /// Reads how long EKS supports a Kubernetes version (`eks:DescribeClusterVersions`). `None` if EKS does not know
    /// the version.
    async fn support(&self, kubernetes: &str) -> Result<Option<Support>, Unreadable>;
    /// Reads the namespaces and names of the service accounts with a Pod Identity association
    /// (`eks:ListPodIdentityAssociations`).
    async fn pod_identities(&self) -> Result<BTreeSet<(String, String)>, Unreadable>;
    /// Reads the trust policy of a role, by its ARN (`iam:GetRole`). `None` if the role does not exist.
    async fn trust_policy(&self, role: &str) -> Result<Option<Value>, Unreadable>;
    /// Reads subnets by their IDs (`ec2:DescribeSubnets`).
    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, Unreadable>;
}
