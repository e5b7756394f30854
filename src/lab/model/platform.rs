//! The facts that AWS has about a simulated cluster, in addition to its description: add-ons, upgrade insights,
//! identities and subnets. The clusters of a new lab differ only in their OIDC issuers.

#[cfg(test)]
use super::World;

/// The facts that AWS has about a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    pub addons: Vec<Addon>,
    /// APIs that a later version of Kubernetes does not serve.
    pub deprecations: Vec<Deprecation>,
    /// Namespaces and names of the service accounts with a Pod Identity association.
    pub pod_identities: Vec<(String, String)>,
    /// Host and path of the OIDC issuer.
    pub issuer: String,
    /// Whether the roles of the account trust the issuer.
    pub trusted: bool,
    pub subnets: Vec<Subnet>,
    /// Number of days until the standard support of the Kubernetes version ends.
    pub support_days: i64,
}

/// An add-on that EKS manages.
#[derive(Debug, Clone)]
pub(crate) struct Addon {
    pub name: String,
    pub version: String,
    pub status: &'static str,
}

/// An API that a later version of Kubernetes does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Deprecation {
    pub usage: String,
    /// Kubernetes version that no longer serves the API.
    pub stop_version: String,
    /// User agent of the client that calls the API, if any.
    pub agent: Option<String>,
}

/// A subnet of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Subnet {
    pub id: String,
    pub zone: String,
    pub free: u32,
}

/// Add-ons of each cluster, with the only version that EKS offers in the lab.
pub(crate) const ADDONS: [(&str, &str); 5] = [
    ("aws-ebs-csi-driver", "v1.49.0-eksbuild.1"),
    ("coredns", "v1.12.4-eksbuild.1"),
    ("eks-pod-identity-agent", "v1.3.9-eksbuild.1"),
    ("kube-proxy", "v1.33.5-eksbuild.2"),
    ("vpc-cni", "v1.20.3-eksbuild.1"),
];

impl Platform {
    /// Creates the platform of the cluster with this name in EKS and this number.
    pub fn new(eks: &str, number: u8, region: &str, domain: &str) -> Self {
        let addon = |(name, version): (&str, &str)| Addon {
            name: name.to_owned(),
            version: version.to_owned(),
            status: "ACTIVE",
        };
        let subnet = |n: u8| Subnet {
            id: format!("subnet-{number:08x}{n:09x}"),
            zone: format!("{region}{}", if n == 0 { "a" } else { "c" }),
            free: 4000,
        };
        let id: String =
            eks.bytes().cycle().take(16).filter_map(|byte| char::from_digit(u32::from(byte % 16), 16)).collect();
        Self {
            addons: ADDONS.map(addon).to_vec(),
            deprecations: vec![Deprecation {
                usage: "/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas".to_owned(),
                stop_version: "1.32".to_owned(),
                agent: None,
            }],
            pod_identities: Vec::new(),
            issuer: format!("oidc.eks.{region}.{domain}/id/{id}{number:016X}"),
            trusted: true,
            subnets: [0, 1].map(subnet).to_vec(),
            support_days: 300,
        }
    }
}

#[cfg(test)]
impl World {
    /// Returns the platforms of the first two clusters, to change them.
    pub(crate) fn platforms(&mut self) -> [&mut Platform; 2] {
        let [a, b, ..] = &mut self.clusters[..] else { panic!("a lab should have two clusters") };
        [&mut a.platform, &mut b.platform]
    }
}
