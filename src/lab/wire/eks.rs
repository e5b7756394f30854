//! The EKS API: ListClusters and DescribeCluster, and the operations about the platform of a cluster.

use http::{Request, Response};
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::eks_platform;
use crate::base::partition;
use crate::lab::model::Platform;

/// A cluster as DescribeCluster returns it.
#[derive(Debug, Clone)]
pub(crate) struct ClusterDescription {
    pub name: String,
    pub endpoint: String,
    /// Certificate of the CA, PEM in base64; empty if there is none.
    pub ca: String,
    pub version: String,
    pub platform: Platform,
}

/// Returns the name of the operation.
pub(crate) fn operation(request: &Request<Bytes>) -> String {
    match (request.method().as_str(), path(request).as_slice()) {
        ("GET", ["clusters"]) => "ListClusters".into(),
        ("GET", ["clusters", _]) => "DescribeCluster".into(),
        (method, path) => eks_platform::operation(method, path)
            .map_or_else(|| format!("{method} {}", request.uri().path()), str::to_owned),
    }
}

/// Handles a call. Returns the response, and the outcome for the call log.
pub(crate) fn answer(
    clusters: &[ClusterDescription],
    account: &str,
    region: &str,
    request: &Request<Bytes>,
    id: &str,
    now: Timestamp,
) -> (Response<Bytes>, String) {
    match (request.method().as_str(), path(request).as_slice()) {
        ("GET", ["clusters"]) => {
            let names: Vec<&str> = clusters.iter().map(|c| c.name.as_str()).collect();
            (json_answer(200, &json!({"clusters": names, "nextToken": null}), id), "ok".into())
        }
        ("GET", ["clusters", name]) => {
            if let Some(cluster) = clusters.iter().find(|c| c.name == *name) {
                return (
                    json_answer(200, &json!({"cluster": describe_cluster(cluster, account, region)}), id),
                    "ok".into(),
                );
            }
            let message = format!("No cluster found for name: {name}.");
            (failure(404, "ResourceNotFoundException", &message, id), "ResourceNotFoundException".into())
        }
        (_, path) if eks_platform::operation(request.method().as_str(), path).is_some() => {
            match eks_platform::answer(clusters, request, path, now) {
                Some(Ok(result)) => (json_answer(200, &result, id), "ok".into()),
                missing => {
                    let message = missing.and_then(Result::err).unwrap_or_default();
                    (failure(404, "ResourceNotFoundException", &message, id), "ResourceNotFoundException".into())
                }
            }
        }
        _ => (
            failure(404, "NotFoundException", "the lab does not support this operation", id),
            "NotFoundException".into(),
        ),
    }
}

fn path(request: &Request<Bytes>) -> Vec<&str> {
    request.uri().path().split('/').filter(|p| !p.is_empty()).collect()
}

fn describe_cluster(cluster: &ClusterDescription, account: &str, region: &str) -> Value {
    let authority = if cluster.ca.is_empty() { json!({}) } else { json!({"data": cluster.ca}) };
    let subnets: Vec<_> = cluster.platform.subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    json!({
        "name": cluster.name,
        "arn": format!("arn:{}:eks:{region}:{account}:cluster/{}", partition::of_region(region).name, cluster.name),
        "createdAt": 1_700_000_000.0,
        "version": cluster.version,
        "endpoint": cluster.endpoint,
        "certificateAuthority": authority,
        "status": "ACTIVE",
        "identity": {"oidc": {"issuer": format!("https://{}", cluster.platform.issuer)}},
        "kubernetesNetworkConfig": {"ipFamily": "ipv4"},
        "platformVersion": "eks.10",
        "health": {"issues": []},
        "resourcesVpcConfig": {
            "subnetIds": subnets, "securityGroupIds": [], "vpcId": "vpc-0a1b2c3d4e5f60718", "endpointPublicAccess": true,
            "endpointPrivateAccess": true,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
        "upgradePolicy": {"supportType": "STANDARD"},
        "tags": {},
    })
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    let mut response = json_answer(status, &json!({"message": message}), id);
    if let Ok(value) = http::HeaderValue::from_str(code) {
        response.headers_mut().insert("x-amzn-errortype", value);
    }
    response
}

fn json_answer(status: u16, value: &Value, id: &str) -> Response<Bytes> {
    super::text(status, "application/json", value.to_string(), id)
}
