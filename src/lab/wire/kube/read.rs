//! Get and list requests.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::failure::Failure;
use super::path::{Query, ResourcePath};
use super::select::Selection;
use super::table;
use crate::lab::objects::{Kind, Objects, meta_text};

/// Returns one object, or a subresource of the object.
pub fn get(objects: &Objects, target: &ResourcePath, as_table: bool) -> Result<Value, Failure> {
    let name = target.name.as_deref().unwrap_or_default();
    let object = objects
        .get(target.resource.kind, target.namespace(), name)
        .ok_or_else(|| Failure::not_found(target.resource, name))?;
    Ok(match target.subresource.as_deref() {
        Some("scale") => scale(&object),
        _ if as_table => table::render(target.resource.kind, &[&object], meta_text(&object, "resourceVersion")),
        _ => object,
    })
}

/// Returns the `Scale` of a workload.
pub fn scale(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",");
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        meta[field] = object["metadata"][field].clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta,
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_u64().unwrap_or(0), "selector": selector},
    })
}

/// Returns a collection, or one page of the collection.
pub fn list(objects: &Objects, target: &ResourcePath, query: &Query, as_table: bool) -> Result<Value, Failure> {
    let (kind, selection) = (target.resource.kind, Selection::parse(query)?);
    let after = after(query.get("continue"))?;
    let limit = limit(query.get("limit"))?;
    let (namespace, label) = (target.namespace.as_deref(), selection.required_label().filter(|_| kind == Kind::Pod));
    let candidates: Box<dyn Iterator<Item = Value>> = match (namespace, label) {
        (Some(namespace), Some((label, value))) => Box::new(objects.labelled_pods(namespace, label, value)),
        _ => Box::new(objects.list_after(kind, namespace, after.as_ref())),
    };
    let mut found: Vec<Value> = Vec::new();
    let mut meta = json!({"resourceVersion": objects.revision().to_string()});
    for object in candidates {
        let here = key(&object);
        if after.as_ref().is_some_and(|a| here <= *a) || !selection.matches(kind, &object)? {
            continue;
        }
        if found.len() == limit {
            let last = found.last().map(key).unwrap_or_default();
            // As in the real API, the remaining items are not counted if there is a selector.
            if query.get("labelSelector").is_empty() && query.get("fieldSelector").is_empty() {
                meta["remainingItemCount"] = objects.count_after(kind, namespace, &last).into();
            }
            meta["continue"] = BASE64_URL_SAFE_NO_PAD.encode(json!([last.0, last.1]).to_string()).into();
            break;
        }
        found.push(object);
    }
    Ok(render(kind, target, found, meta, as_table))
}

fn render(kind: Kind, target: &ResourcePath, found: Vec<Value>, meta: Value, as_table: bool) -> Value {
    if as_table {
        let mut table = table::render(kind, &found.iter().collect::<Vec<_>>(), "");
        table["metadata"] = meta;
        return table;
    }
    let resource = target.resource;
    let mut items = found;
    // In a list, items of built-in kinds have no kind and apiVersion; custom resources have both.
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| kind != Kind::TargetGroupBinding) {
        item.shift_remove("kind");
        item.shift_remove("apiVersion");
    }
    let mut list =
        json!({"kind": format!("{}List", resource.name), "apiVersion": resource.api_version(), "metadata": meta});
    // The macro would copy the items.
    list["items"] = Value::Array(items);
    list
}

/// Returns the namespace and the name of an object, by which lists are ordered.
fn key(object: &Value) -> (String, String) {
    (meta_text(object, "namespace").to_owned(), meta_text(object, "name").to_owned())
}

/// Parses the parameter `limit`; 0 and empty mean no limit.
fn limit(text: &str) -> Result<usize, Failure> {
    match text {
        "" | "0" => Ok(usize::MAX),
        text => text
            .parse()
            .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
    }
}

fn after(token: &str) -> Result<Option<(String, String)>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let start_key = bytes.and_then(|b| serde_json::from_slice(&b).ok());
    start_key.map(Some).ok_or_else(|| Failure::bad_request("invalid continue token: continue key is not valid"))
}
