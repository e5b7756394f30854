//! Removes from values the parts that differ between any two clusters: defaults that the API server adds, the names and
//! endpoints of the clusters, injected sidecars, and hashes in generated names.

use serde_json::{Map, Value};

use super::facts::ClusterFacts;

/// Containers that an admission webhook or an agent injects. Their configuration differs between clusters.
const SIDECARS: &[&str] = &["istio-proxy", "istio-init", "istio-validation", "linkerd-proxy", "linkerd-init"];

/// Returns the default that the API server sets for a field; `None` if it sets no default. Source: the API reference of
/// Kubernetes (core/v1: Container, Probe, Volume, PodSpec, Service).
fn default_of(key: &str) -> Option<Value> {
    Some(match key {
        "timeoutSeconds" | "successThreshold" => 1.into(),
        "periodSeconds" => 10.into(),
        "failureThreshold" => 3.into(),
        "initialDelaySeconds" => 0.into(),
        "scheme" => "HTTP".into(),
        "terminationMessagePath" => "/dev/termination-log".into(),
        "terminationMessagePolicy" => "File".into(),
        "protocol" => "TCP".into(),
        "defaultMode" => 420.into(),
        "expirationSeconds" => 3607.into(),
        "apiVersion" => "v1".into(),
        "readOnly" | "hostNetwork" | "hostPID" | "hostIPC" | "optional" => false.into(),
        "type" | "service" => "".into(),
        "sessionAffinity" => "None".into(),
        "internalTrafficPolicy" => "Cluster".into(),
        _ => return None,
    })
}

/// Whether this is the name of a container that a webhook adds to pods, such as the proxy of a service mesh.
pub fn is_sidecar(name: &str) -> bool {
    SIDECARS.contains(&name)
}

/// Returns a value without defaults and empty values, and with a placeholder for the names of its cluster.
pub fn normal(value: &Value, cluster: &ClusterFacts) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| (key, normal(value, cluster)));
            let kept = fields.filter(|(key, value)| !is_empty(value) && default_of(key).as_ref() != Some(value));
            Value::Object(kept.map(|(key, value)| (key.clone(), value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| normal(item, cluster)).collect()),
        Value::String(text) => Value::String(without_own_names(text, cluster)),
        other => other.clone(),
    }
}

/// Replaces the texts that name a cluster by a placeholder.
pub fn without_own_names(text: &str, cluster: &ClusterFacts) -> String {
    cluster.own_names.iter().fold(text.to_owned(), |text, name| text.replace(name.as_str(), "<cluster>"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Returns the name without the hash that Kustomize appends to the names of generated ConfigMaps and Secrets: a dash and
/// ten characters of `bcdfghkm2456789t`. Source: `kustomize/api/hasher`.
pub fn base_name(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, hash)) if hash.len() == 10 && hash.chars().all(|c| "bcdfghkmt2456789".contains(c)) => base,
        _ => name,
    }
}

/// Returns a copy of a list, sorted by a text field. Lists of named entries have no order.
pub fn by_name(list: &[Value], field: &str) -> Vec<Value> {
    let mut sorted = list.to_vec();
    sorted.sort_by(|a, b| a.get(field).and_then(Value::as_str).cmp(&b.get(field).and_then(Value::as_str)));
    sorted
}
