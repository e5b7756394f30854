//! Acts as the kubelets: gives pods addresses of the VPC, makes them ready, and removes deleted pods. There are no
//! containers.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::api::Api;

/// The annotation that makes a pod not ready if its value is `false`.
pub const READY: &str = "cutover.dev/ready";

/// The annotation with the seconds after which a pod has succeeded.
pub const RUNS_FOR: &str = "cutover.dev/runs-for";

/// Runs without end: gives pods addresses `172.31.NET.n`, and retries while the API server does not respond.
pub async fn run(api: Api, net: u8) {
    let mut next = 9_u8;
    loop {
        if let Ok(list) = api.ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1", None).await {
            for pod in list["items"].as_array().map_or(&[][..], Vec::as_slice) {
                update_pod(&api, pod, net, &mut next).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn update_pod(api: &Api, pod: &Value, net: u8, next: &mut u8) {
    let meta = &pod["metadata"];
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}",
        meta["namespace"].as_str().unwrap_or_default(),
        meta["name"].as_str().unwrap_or_default()
    );
    if meta.get("deletionTimestamp").is_some() {
        let _ = api.ask("DELETE", &path, Some(&json!({"gracePeriodSeconds": 0}))).await;
        return;
    }
    if succeeds(pod) {
        let ready = json!([{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}]);
        let status = json!({"phase": "Succeeded", "conditions": ready});
        let _ = api.ask("PATCH", &format!("{path}/status"), Some(&json!({"status": status}))).await;
        return;
    }
    if pod["status"]["phase"] == "Succeeded" {
        return;
    }
    let ip = pod["status"]["podIP"].as_str().map_or_else(
        || {
            // A pod without ports needs no address of its own.
            if pod["spec"]["containers"][0]["ports"].is_null() {
                return format!("172.31.{net}.254");
            }
            *next = next.checked_add(1).filter(|next| *next < 254).unwrap_or(10);
            format!("172.31.{net}.{next}")
        },
        str::to_owned,
    );
    let wanted = conditions(pod);
    let now = |kind: &str| condition(pod, kind);
    if pod["status"]["podIP"] == json!(ip)
        && wanted.iter().all(|c| now(c["type"].as_str().unwrap_or_default()) == c["status"].as_str())
    {
        return;
    }
    let started = pod["status"]["startTime"].as_str().map_or_else(|| Timestamp::now().to_string(), str::to_owned);
    let status = json!({
        "phase": "Running", "startTime": started, "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "172.31.0.250", "conditions": wanted,
        "containerStatuses": container_statuses(pod),
    });
    let _ = api.ask("PATCH", &format!("{path}/status"), Some(&json!({"status": status}))).await;
}

/// Whether a running pod has done its work.
fn succeeds(pod: &Value) -> bool {
    let seconds = pod["metadata"]["annotations"][RUNS_FOR].as_str().and_then(|text| text.parse::<i64>().ok());
    let started = pod["status"]["startTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(seconds), Some(started)) = (seconds, started) else { return false };
    pod["status"]["phase"] == "Running" && Timestamp::now().duration_since(started).as_secs() >= seconds
}

/// Returns the statuses of the containers whose image is named by its digest.
fn container_statuses(pod: &Value) -> Vec<Value> {
    let containers = pod["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let digested = containers.iter().filter(|c| c["image"].as_str().is_some_and(|image| image.contains("@sha256:")));
    let status = |c: &Value| {
        json!({
            "name": c["name"], "image": c["image"], "imageID": c["image"], "ready": true, "restartCount": 0,
        })
    };
    digested.map(status).collect()
}

/// Returns the conditions of a pod. A gated pod is ready when its containers are ready and every gate is true.
fn conditions(pod: &Value) -> Vec<Value> {
    let containers = pod["metadata"]["annotations"][READY] != "false";
    let gates = pod["spec"]["readinessGates"].as_array().map_or(&[][..], Vec::as_slice);
    let open = gates.iter().all(|g| condition(pod, g["conditionType"].as_str().unwrap_or_default()) == Some("True"));
    let word = |is: bool| if is { "True" } else { "False" };
    let all =
        [("PodScheduled", true), ("Initialized", true), ("ContainersReady", containers), ("Ready", containers && open)];
    all.iter().map(|(kind, is)| json!({"type": kind, "status": word(*is)})).collect()
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a str> {
    pod["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?["status"].as_str()
}
