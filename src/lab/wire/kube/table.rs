//! Objects as rows of a table, for `kubectl get`.

use serde_json::{Value, json};

use crate::lab::objects::{Kind, meta_text};

type Column = (&'static str, fn(&Value) -> Value);

fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

fn or(value: &Value, other: &str) -> Value {
    match value {
        Value::Null => other.into(),
        found => found.clone(),
    }
}

fn ready_of(wanted: &str, object: &Value) -> Value {
    let number = |p| at(object, p).as_u64().unwrap_or(0);
    format!("{}/{}", number("/status/readyReplicas"), number(wanted)).into()
}

fn pod_ready(pod: &Value) -> Value {
    let containers = at(pod, "/spec/containers").as_array().map_or(1, Vec::len);
    let conditions = at(pod, "/status/conditions").as_array().into_iter().flatten();
    let ready = conditions.filter(|c| c["type"] == "Ready" && c["status"] == "True").count() > 0;
    format!("{}/{containers}", if ready { containers } else { 0 }).into()
}

fn service_ports(service: &Value) -> Value {
    let ports = at(service, "/spec/ports").as_array().into_iter().flatten();
    let port = |p: &Value| format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP"));
    ports.map(port).collect::<Vec<_>>().join(",").into()
}

fn hpa_target(hpa: &Value) -> Value {
    let text_at = |p| at(hpa, p).as_str().unwrap_or_default();
    format!("{}/{}", text_at("/spec/scaleTargetRef/kind"), text_at("/spec/scaleTargetRef/name")).into()
}

fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Pod => &[
            ("Ready", pod_ready),
            ("Status", |o| or(at(o, "/status/phase"), "Unknown")),
            ("Restarts", |_| 0.into()),
            ("IP", |o| or(at(o, "/status/podIP"), "<none>")),
            ("Node", |o| or(at(o, "/spec/nodeName"), "<none>")),
        ],
        Kind::Deployment => &[
            ("Ready", |o| ready_of("/spec/replicas", o)),
            ("Up-to-date", |o| or(at(o, "/status/updatedReplicas"), "0")),
            ("Available", |o| or(at(o, "/status/availableReplicas"), "0")),
        ],
        Kind::StatefulSet | Kind::ReplicaSet => &[("Ready", |o| ready_of("/spec/replicas", o))],
        Kind::Service => &[
            ("Type", |o| or(at(o, "/spec/type"), "ClusterIP")),
            ("Cluster-IP", |o| or(at(o, "/spec/clusterIP"), "None")),
            ("Port(s)", service_ports),
        ],
        Kind::HorizontalPodAutoscaler => &[
            ("Reference", hpa_target),
            ("MinPods", |o| or(at(o, "/spec/minReplicas"), "1")),
            ("MaxPods", |o| at(o, "/spec/maxReplicas").clone()),
            ("Replicas", |o| or(at(o, "/status/currentReplicas"), "0")),
        ],
        Kind::TargetGroupBinding => &[
            ("Service-Name", |o| at(o, "/spec/serviceRef/name").clone()),
            ("Service-Port", |o| at(o, "/spec/serviceRef/port").clone()),
            ("Target-Type", |o| at(o, "/spec/targetType").clone()),
            ("ARN", |o| at(o, "/spec/targetGroupARN").clone()),
        ],
        Kind::Secret => &[
            ("Type", |o| or(at(o, "/type"), "Opaque")),
            ("Data", |o| at(o, "/data").as_object().map_or(0, serde_json::Map::len).into()),
        ],
        Kind::Namespace => &[("Status", |o| or(at(o, "/status/phase"), "Active"))],
        Kind::Event => &[
            ("Type", |o| o["type"].clone()),
            ("Reason", |o| o["reason"].clone()),
            ("Message", |o| o["message"].clone()),
        ],
        _ => &[],
    }
}

/// Returns a `Table` of these objects. Ages are shown as creation times, because the client's clock may differ from the
/// lab's.
pub fn render(kind: Kind, objects: &[&Value], resource_version: &str) -> Value {
    let columns = columns(kind);
    let definition = |name: &str, format: &str| {
        json!({
            "name": name, "type": "string", "format": format, "description": "", "priority": 0,
        })
    };
    let mut definitions = vec![definition("Name", "name")];
    definitions.extend(columns.iter().map(|(name, _)| definition(name, "")));
    definitions.push(definition("Created", ""));
    let row = |object: &&Value| {
        let mut cells: Vec<Value> = vec![meta_text(object, "name").into()];
        cells.extend(columns.iter().map(|(_, cell)| cell(object)));
        cells.push(meta_text(object, "creationTimestamp").into());
        let part =
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
        json!({"cells": cells, "object": part})
    };
    let rows: Vec<_> = objects.iter().map(row).collect();
    let mut meta = json!({});
    if !resource_version.is_empty() {
        meta["resourceVersion"] = resource_version.into();
    }
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": definitions,
        "rows": rows,
    })
}
