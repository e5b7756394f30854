//! Reports the state of a test's resources when a wait fails: objects, targets and processes.

use serde_json::{Value, json};

use super::cluster::{Cluster, PROCESSES};
use super::fixture::StackFixture;

/// Returns the report as text. Only reads, and names the parts that do not respond.
pub fn report(fixture: &StackFixture) -> String {
    let mut lines = Vec::new();
    for letter in ["a", "b"] {
        let arn = &fixture.groups[letter];
        let health =
            fixture.stack.boto(&json!([["elbv2", "describe_target_health", {"TargetGroupArn": arn}]])).remove(0);
        lines.push(format!("targets of {letter}: {}", health["TargetHealthDescriptions"]));
    }
    for cluster in [&fixture.stack.a, &fixture.stack.b] {
        lines.push(format!("\ncluster {}", cluster.name));
        lines.extend(objects(cluster, &fixture.name, &fixture.bindings()));
        for (part, name) in PROCESSES {
            let end = cluster.ended(part).map_or("is running".to_owned(), |code| format!("ended with {code}"));
            lines.push(format!("-- {name} {end}; the last lines of its log:\n{}", cluster.log(part)));
        }
    }
    lines.join("\n")
}

fn objects(cluster: &Cluster, namespace: &str, bindings: &str) -> Vec<String> {
    let lists = [
        ("deployment", format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &["/metadata/name", "/status"][..]),
        (
            "pod",
            format!("/api/v1/namespaces/{namespace}/pods"),
            &["/metadata/name", "/spec/nodeName", "/status/podIP", "/status/conditions"],
        ),
        (
            "service",
            format!("/api/v1/namespaces/{namespace}/services"),
            &["/metadata/name", "/metadata/creationTimestamp"],
        ),
        (
            "slice",
            format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
            &["/metadata/name", "/endpoints", "/ports"],
        ),
        (
            "binding",
            bindings.to_owned(),
            &["/metadata/name", "/metadata/annotations", "/metadata/finalizers", "/spec", "/status"],
        ),
        (
            "event",
            format!("/api/v1/namespaces/{namespace}/events"),
            &["/involvedObject/name", "/reason", "/message", "/count"],
        ),
    ];
    let mut lines = Vec::new();
    for (kind, path, parts) in lists {
        match cluster.api.call("GET", &path, None) {
            Ok(list) => lines.extend(list["items"].as_array().into_iter().flatten().map(|item| {
                let values: Vec<_> =
                    parts.iter().map(|p| item.pointer(p).unwrap_or(&Value::Null).to_string()).collect();
                format!("{kind} {}", values.join(" "))
            })),
            Err(refused) => lines.push(format!("{kind}: {refused:?}")),
        }
    }
    lines
}
