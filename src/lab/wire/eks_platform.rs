//! The EKS API except the operations about clusters: add-ons, upgrade insights, Kubernetes versions, Pod Identity
//! associations.

use http::Request;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::eks::ClusterDescription;
use crate::lab::model::ADDONS;

const DAY: i64 = 86_400;

/// Length of the extended support, in days.
const EXTENDED_DAYS: i64 = 365;

/// Returns the name of an operation; `None` if the path belongs to no operation of this file.
pub(crate) fn operation(method: &str, path: &[&str]) -> Option<&'static str> {
    Some(match (method, path) {
        ("GET", ["clusters", _, "addons"]) => "ListAddons",
        ("GET", ["clusters", _, "addons", _]) => "DescribeAddon",
        ("GET", ["addons", "supported-versions"]) => "DescribeAddonVersions",
        ("POST", ["clusters", _, "insights"]) => "ListInsights",
        ("GET", ["clusters", _, "insights", _]) => "DescribeInsight",
        ("GET", ["cluster-versions"]) => "DescribeClusterVersions",
        ("GET", ["clusters", _, "pod-identity-associations"]) => "ListPodIdentityAssociations",
        _ => return None,
    })
}

/// Returns the result of a call, or the message that a resource does not exist; `None` if the path belongs to no
/// operation of this file.
pub(crate) fn answer(
    clusters: &[ClusterDescription],
    request: &Request<Bytes>,
    path: &[&str],
    now: Timestamp,
) -> Option<Result<Value, String>> {
    let operation = operation(request.method().as_str(), path)?;
    match operation {
        "DescribeAddonVersions" => return Some(Ok(addon_versions(request))),
        "DescribeClusterVersions" => return Some(Ok(cluster_versions(clusters, request, now))),
        _ => {}
    }
    let Some(cluster) = clusters.iter().find(|cluster| Some(&cluster.name.as_str()) == path.get(1)) else {
        return Some(Err(format!("No cluster found for name: {}.", path.get(1).unwrap_or(&""))));
    };
    let item = path.get(3).copied().unwrap_or_default();
    Some(match operation {
        "ListAddons" => {
            let names: Vec<_> = cluster.platform.addons.iter().map(|addon| addon.name.as_str()).collect();
            Ok(json!({"addons": names, "nextToken": null}))
        }
        "DescribeAddon" => addon(cluster, item),
        "ListInsights" => Ok(insights(cluster, now)),
        "DescribeInsight" => insight(cluster, item, now),
        _ => Ok(associations(cluster)),
    })
}

fn addon(cluster: &ClusterDescription, name: &str) -> Result<Value, String> {
    let found = cluster.platform.addons.iter().find(|addon| addon.name == name);
    let addon = found.ok_or_else(|| format!("No addon: {name} found in cluster: {}", cluster.name))?;
    Ok(json!({"addon": {
        "addonName": addon.name, "clusterName": cluster.name, "status": addon.status, "addonVersion": addon.version,
        "health": {"issues": []}, "createdAt": 1_700_000_000.0, "tags": {},
    }}))
}

/// Returns the values of a parameter of the query string.
fn parameters(request: &Request<Bytes>, name: &str) -> Vec<String> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| super::query::decode(value)).collect()
}

fn addon_versions(request: &Request<Bytes>) -> Value {
    let (names, kubernetes) = (parameters(request, "addonName"), parameters(request, "kubernetesVersion"));
    let wanted = |(name, _): &(&str, &str)| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let offered = |(name, version): (&str, &str)| {
        let fits: Vec<_> = kubernetes.iter().map(|version| json!({"clusterVersion": version})).collect();
        json!({"addonName": name, "addonVersions": [{"addonVersion": version, "compatibilities": fits}]})
    };
    let addons: Vec<_> = ADDONS.into_iter().filter(wanted).map(offered).collect();
    json!({"addons": addons, "nextToken": null})
}

#[allow(clippy::cast_precision_loss)] // seconds
fn seconds(at: Timestamp, days: i64) -> f64 {
    (at.as_second() + days * DAY) as f64
}

fn cluster_versions(clusters: &[ClusterDescription], request: &Request<Bytes>, now: Timestamp) -> Value {
    let version = |version: String| {
        let same = clusters.iter().filter(|cluster| cluster.version == version);
        let days = same.map(|cluster| cluster.platform.support_days).min().unwrap_or(300);
        json!({
            "clusterVersion": version, "clusterType": "eks", "versionStatus": "STANDARD_SUPPORT",
            "endOfStandardSupportDate": seconds(now, days), "endOfExtendedSupportDate": seconds(now, days + EXTENDED_DAYS),
        })
    };
    let versions: Vec<_> = parameters(request, "clusterVersions").into_iter().map(version).collect();
    json!({"clusterVersions": versions, "nextToken": null})
}

fn insight_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn insights(cluster: &ClusterDescription, now: Timestamp) -> Value {
    let summary = |number| {
        json!({
            "id": insight_id(number), "name": "Deprecated APIs removed", "category": "UPGRADE_READINESS",
            "lastRefreshTime": seconds(now, 0), "insightStatus": {"status": "ERROR", "reason": "Deprecated API usage"},
        })
    };
    let all: Vec<_> = (0..cluster.platform.deprecations.len()).map(summary).collect();
    json!({"insights": all, "nextToken": null})
}

fn insight(cluster: &ClusterDescription, id: &str, now: Timestamp) -> Result<Value, String> {
    let mut all = (0..).zip(&cluster.platform.deprecations);
    let found = all.find(|(number, _)| insight_id(*number) == id);
    let (_, deprecation) = found.ok_or_else(|| format!("No insight found for id: {id}"))?;
    let client = |agent: &String| json!({"userAgent": agent, "numberOfRequestsLast30Days": 120, "lastRequestTime": seconds(now, -1)});
    let clients: Vec<_> = deprecation.agent.iter().map(client).collect();
    let detail = json!({
        "usage": deprecation.usage, "replacedWith": "", "stopServingVersion": deprecation.stop_version,
        "clientStats": clients,
    });
    Ok(json!({"insight": {
        "id": id, "category": "UPGRADE_READINESS", "categorySpecificSummary": {"deprecationDetails": [detail]},
    }}))
}

fn associations(cluster: &ClusterDescription) -> Value {
    let association = |(namespace, account): &(String, String)| json!({"clusterName": cluster.name, "namespace": namespace, "serviceAccount": account});
    let all: Vec<_> = cluster.platform.pod_identities.iter().map(association).collect();
    json!({"associations": all, "nextToken": null})
}
