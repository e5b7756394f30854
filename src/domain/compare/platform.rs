//! The facts of AWS about an EKS cluster. The engine reads them; a cluster outside of EKS has none.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::traffic::Unreadable;

/// Why a fact of AWS is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Unread {
    /// The IAM action of the call that failed, such as `eks:ListAddons`.
    pub action: &'static str,
    /// Why the call failed.
    pub why: Unreadable,
}

/// A fact of AWS, or the reason why it is unknown.
pub type AwsFact<T> = Result<T, Unread>;

/// The facts that AWS has about an EKS cluster. A fact is empty if no rule needs it for this cluster.
#[derive(Debug, Clone)]
pub struct PlatformFacts {
    /// When the facts were read.
    pub read_at: Timestamp,
    /// The description of the cluster.
    pub cluster: AwsFact<EksDescription>,
    /// The names of the add-ons.
    pub addon_names: AwsFact<BTreeSet<String>>,
    /// The add-ons. Only the new cluster's are read.
    pub addons: AwsFact<Vec<Addon>>,
    /// The versions of each add-on that EKS offers for the Kubernetes version of the cluster; empty if EKS offers none.
    /// Only the new cluster's are read.
    pub addon_versions: AwsFact<BTreeMap<String, BTreeSet<String>>>,
    /// The deprecated APIs that clients still call. Only the old cluster's are read: a new one has no history.
    pub deprecations: AwsFact<Vec<Deprecation>>,
    /// How long EKS supports the Kubernetes version of the cluster. Only the new cluster's is read.
    pub support: AwsFact<Option<Support>>,
    /// The namespaces and names of the service accounts with a Pod Identity association.
    pub pod_identities: AwsFact<BTreeSet<(String, String)>>,
    /// The trust policy of each role that a service account of the plan's workloads names, by the ARN; `None` if the
    /// role does not exist. Only the new cluster's are read.
    pub roles: BTreeMap<String, AwsFact<Option<Value>>>,
    /// The subnets of the cluster. Only the new cluster's are read.
    pub subnets: AwsFact<Vec<Subnet>>,
}

/// The description of an EKS cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EksDescription {
    /// The URL of the API server.
    pub endpoint: Option<String>,
    /// The URL of the OIDC issuer, such as `https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF`.
    pub issuer: Option<String>,
    /// The IDs of the subnets.
    pub subnets: Vec<String>,
    /// Whether pods have IPv6 addresses.
    pub ipv6: bool,
    /// Whether EKS upgrades the cluster at the end of the standard support, instead of at the end of the extended one.
    pub standard_support: bool,
    /// Whether the cluster is in EKS Auto Mode, whose network, DNS, storage and Pod Identity agent are not add-ons.
    pub auto_mode: bool,
}

/// An add-on of an EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// The name, such as `vpc-cni`.
    pub name: String,
    /// The version, such as `v1.20.1-eksbuild.1`.
    pub version: String,
    /// The status, such as `ACTIVE` or `DEGRADED`.
    pub status: String,
    /// The health issues, each as `code: message`.
    pub issues: Vec<String>,
}

/// A deprecated API and the clients that still call it, from an upgrade insight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    /// The API, such as `/apis/policy/v1beta1/podsecuritypolicies`.
    pub usage: String,
    /// The API that replaces it; empty: none.
    pub replaced_with: String,
    /// The Kubernetes version that stops serving the API, such as `1.32`.
    pub stop_version: String,
    /// The clients that called the API in the last 30 days.
    pub clients: Vec<ApiClient>,
}

/// A client of a deprecated API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiClient {
    /// The user agent.
    pub agent: String,
    /// The number of requests in the last 30 days.
    pub requests: u64,
    /// The time of the last request.
    pub last: Option<Timestamp>,
}

/// The time for which EKS supports a Kubernetes version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// The end of the standard support.
    pub standard_end: Option<Timestamp>,
    /// The end of the extended support, which costs more.
    pub extended_end: Option<Timestamp>,
}

/// A subnet of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The ID, such as `subnet-0123456789abcdef0`.
    pub id: String,
    /// The zone, such as `eu-central-1a`.
    pub zone: String,
    /// The number of free IPv4 addresses.
    pub free: u64,
}

impl PlatformFacts {
    /// Returns facts that are all known and empty.
    pub fn empty(read_at: Timestamp) -> Self {
        Self {
            read_at,
            cluster: Ok(EksDescription::default()),
            addon_names: Ok(BTreeSet::new()),
            addons: Ok(Vec::new()),
            addon_versions: Ok(BTreeMap::new()),
            deprecations: Ok(Vec::new()),
            support: Ok(None),
            pod_identities: Ok(BTreeSet::new()),
            roles: BTreeMap::new(),
            subnets: Ok(Vec::new()),
        }
    }

    /// Returns why facts are unknown.
    pub fn unread(&self) -> impl Iterator<Item = &Unread> {
        let facts = [
            self.cluster.as_ref().err(),
            self.addon_names.as_ref().err(),
            self.addons.as_ref().err(),
            self.addon_versions.as_ref().err(),
            self.deprecations.as_ref().err(),
            self.support.as_ref().err(),
            self.pod_identities.as_ref().err(),
            self.subnets.as_ref().err(),
        ];
        facts.into_iter().flatten().chain(self.roles.values().filter_map(|role| role.as_ref().err()))
    }
}
