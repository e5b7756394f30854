//! API discovery: groups, resources, version, and the OpenAPI documents that `kubectl apply` reads.

use serde_json::{Map, Value, json};

use crate::lab::objects::{Resource, resources};

/// The API group that an autoscaler needs. The lab has no objects of this group.
const METRICS: &str = "metrics.k8s.io";

/// Responds to a discovery path; `None` if the path is not a discovery path.
pub fn answer(path: &str, version: &str, auto_mode: bool) -> Option<Value> {
    let all: Vec<_> = resources(auto_mode).collect();
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(version_info(version)),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["api", "v1"] => resource_list(&all, "", "v1"),
        ["apis"] => {
            let groups: Vec<_> = groups(&all).iter().filter_map(|g| group(&all, g)).chain([metrics()]).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", METRICS] => Some(metrics()),
        ["apis", METRICS, "v1beta1"] => {
            let version = format!("{METRICS}/v1beta1");
            let pods = json!({
                "name": "pods", "singularName": "pod", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"],
            });
            Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [pods]}))
        }
        ["apis", name] => {
            let mut found = group(&all, name)?;
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            Some(found)
        }
        ["apis", group, version] => resource_list(&all, group, version),
        ["openapi", "v3"] => Some(openapi_index(&all)),
        ["openapi", "v3", "api", version] => openapi(&all, "", version),
        ["openapi", "v3", "apis", group, version] => openapi(&all, group, version),
        _ => None,
    }
}

fn metrics() -> Value {
    let version = json!({"groupVersion": format!("{METRICS}/v1beta1"), "version": "v1beta1"});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": METRICS, "versions": [version], "preferredVersion": version})
}

fn version_info(version: &str) -> Value {
    let mut numbers = version.trim_start_matches('v').split('.');
    let mut next = || numbers.next().unwrap_or_default().to_owned();
    let (major, minor) = (next(), next());
    json!({
        "major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn groups(all: &[&'static Resource]) -> Vec<&'static str> {
    let mut names: Vec<_> = all.iter().map(|r| r.group).filter(|g| !g.is_empty()).collect();
    names.dedup();
    names
}

fn group(all: &[&'static Resource], name: &str) -> Option<Value> {
    let first = all.iter().find(|r| r.group == name && !name.is_empty())?;
    let version = json!({"groupVersion": first.api_version(), "version": first.version});
    Some(json!({"name": name, "versions": [version], "preferredVersion": version}))
}

fn of<'a>(
    all: &'a [&'static Resource],
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a &'static Resource> {
    all.iter().filter(move |r| r.group == group && r.version == version)
}

fn resource_list(all: &[&'static Resource], group: &str, version: &str) -> Option<Value> {
    let mut entries = Vec::new();
    let mut name = String::new();
    for r in of(all, group, version) {
        name = r.api_version();
        let all_verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let entry = json!({
            "name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.name,
            "verbs": all_verbs, "shortNames": r.short,
        });
        entries.push(entry);
        for (served, part, kind) in [(r.has_status, "status", r.name), (r.has_scale, "scale", "Scale")] {
            if served {
                let mut entry = json!({
                    "name": format!("{}/{part}", r.plural), "singularName": "", "namespaced": r.namespaced,
                    "kind": kind, "verbs": ["get", "patch", "update"],
                });
                if part == "scale" {
                    entry["group"] = "autoscaling".into();
                    entry["version"] = "v1".into();
                }
                entries.push(entry);
            }
        }
    }
    (!entries.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}))
}

fn root(r: &Resource) -> String {
    if r.group.is_empty() { format!("api/{}", r.version) } else { format!("apis/{}/{}", r.group, r.version) }
}

fn openapi_index(all: &[&'static Resource]) -> Value {
    let paths: Map<String, Value> = all
        .iter()
        .map(|r| (root(r), json!({"serverRelativeURL": format!("/openapi/v3/{}?hash=1", root(r))})))
        .collect();
    json!({"paths": paths})
}

/// Returns the smallest document from which clients conclude that the server validates fields and supports dry runs.
fn openapi(all: &[&'static Resource], group: &str, version: &str) -> Option<Value> {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let path = |r: &&'static Resource| {
        let namespace = if r.namespaced { "/namespaces/{namespace}" } else { "" };
        let gvk = json!({"group": r.group, "version": r.version, "kind": r.name});
        let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter);
        let patch = json!({
            "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters,
        });
        (format!("/{}{namespace}/{}/{{name}}", root(r), r.plural), json!({"patch": patch}))
    };
    let paths: Map<String, Value> = of(all, group, version).map(path).collect();
    let info = json!({"title": "Kubernetes", "version": "unversioned"});
    (!paths.is_empty())
        .then(|| json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}))
}
