//! Sets of fields in the form of `metadata.managedFields`, and functions that read and change objects by field path.
//!
//! Path elements have the form of FieldsV1: `f:spec` for a field, `k:{"name":"web"}` for an item of a keyed list,
//! `v:"x"` for an item of a set. Lists are atomic, except the lists of built-in kinds that the API keys.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::lab::objects::Kind;

/// A path from the root of an object.
pub type Path = Vec<String>;
/// The leaf fields that a manager owns.
pub type Fields = BTreeSet<Path>;

/// Returns the key fields of the items in the list at `path`; empty for an atomic list.
pub fn keys(kind: Kind, path: &[String]) -> &'static [&'static str] {
    let field = path.last().map_or("", |f| f.trim_start_matches("f:"));
    match (kind, field) {
        (_, "ownerReferences") => &["uid"],
        (Kind::TargetGroupBinding, _) => &[],
        (Kind::Service, "ports") => &["port", "protocol"],
        (Kind::Pod | Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet, "ports") => {
            &["containerPort", "protocol"]
        }
        (_, "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets") => &["name"],
        (_, "volumeMounts") => &["mountPath"],
        (_, "conditions") => &["type"],
        _ => &[],
    }
}

fn key_of(item: &Value, keys: &[&str]) -> Option<String> {
    let mut key = Map::new();
    for name in keys {
        let default = if *name == "protocol" { json!("TCP") } else { Value::Null };
        let value = item.get(*name).cloned().unwrap_or(default);
        if value.is_null() {
            return None;
        }
        key.insert((*name).to_owned(), value);
    }
    (!key.is_empty()).then(|| format!("k:{}", Value::Object(key)))
}

/// Returns every leaf of a value.
pub fn leaves(kind: Kind, value: &Value) -> Fields {
    let mut found = Fields::new();
    collect(kind, value, &mut Vec::new(), &mut found);
    found
}

fn collect(kind: Kind, value: &Value, path: &mut Path, found: &mut Fields) {
    let children: Vec<(String, Option<&Value>)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (format!("f:{k}"), Some(v))).collect(),
        Value::Array(items) if path.last().is_some_and(|f| f == "f:finalizers") => {
            items.iter().map(|v| (format!("v:{v}"), None)).collect()
        }
        Value::Array(items) => {
            let keys = keys(kind, path);
            items.iter().map(|v| key_of(v, keys).map(|k| (k, Some(v)))).collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    if children.is_empty() && !path.is_empty() {
        found.insert(path.clone());
    }
    for (element, child) in children {
        path.push(element);
        match child {
            Some(child) => collect(kind, child, path, found),
            None => drop(found.insert(path.clone())),
        }
        path.pop();
    }
}

/// Encodes a set of fields as FieldsV1.
pub fn encode(fields: &Fields) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut at = &mut root;
        for element in path {
            at = &mut at[element.as_str()];
            if at.is_null() {
                *at = json!({});
            }
        }
    }
    root
}

/// Decodes a set of fields from FieldsV1.
pub fn decode(value: &Value) -> Fields {
    fn walk(value: &Value, path: &mut Path, found: &mut Fields) {
        let children = value.as_object().into_iter().flatten().filter(|(k, _)| *k != ".");
        let mut any = false;
        for (element, child) in children {
            any = true;
            path.push(element.clone());
            walk(child, path, found);
            path.pop();
        }
        if !any && !path.is_empty() {
            found.insert(path.clone());
        }
    }
    let mut found = Fields::new();
    walk(value, &mut Vec::new(), &mut found);
    found
}

/// Formats a path for messages, such as `.spec.template.spec.containers[name="web"].image`.
pub fn display(path: &[String]) -> String {
    let element_text = |element: &String| match element.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            format!("[{}]", key.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","))
        }
        (_, value) => format!("[={value}]"),
    };
    path.iter().map(element_text).collect()
}

/// Returns whether a path leads to a key field of a list item.
pub fn is_key(path: &[String]) -> bool {
    path.split_last().is_some_and(|(last, item)| key_has(item, last.trim_start_matches("f:")))
}

/// Returns whether the last element of a path is a key that contains this field.
pub fn key_has(item: &[String], field: &str) -> bool {
    let key =
        item.last().and_then(|i| i.strip_prefix("k:")).and_then(|k| serde_json::from_str::<Map<String, Value>>(k).ok());
    key.is_some_and(|k| k.contains_key(field))
}

/// Returns the value at a path.
pub fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, element| match element.split_at(2) {
        ("f:", name) => at.get(name),
        _ => at.as_array()?.iter().find(|item| is_item(item, element)),
    })
}

fn is_item(item: &Value, element: &str) -> bool {
    match element.split_at(2) {
        ("k:", key) => {
            let Ok(key) = serde_json::from_str::<Map<String, Value>>(key) else { return false };
            key.iter().all(|(k, v)| item.get(k).map_or(k == "protocol" && v == "TCP", |found| found == v))
        }
        (_, text) => serde_json::from_str::<Value>(text).is_ok_and(|v| v == *item),
    }
}

/// Sets the value at a path, and creates missing parents.
pub fn set(value: &mut Value, path: &[String], new: &Value) {
    let Some((element, rest)) = path.split_first() else {
        *value = new.clone();
        return;
    };
    if let ("f:", name) = element.split_at(2) {
        if !value.is_object() {
            *value = json!({});
        }
        set(&mut value[name], rest, new);
        return;
    }
    if !value.is_array() {
        *value = json!([]);
    }
    let Some(items) = value.as_array_mut() else { return };
    let at = items.iter().position(|item| is_item(item, element)).unwrap_or_else(|| {
        items.push(serde_json::from_str(&element[2..]).unwrap_or_default());
        items.len() - 1
    });
    if !rest.is_empty() {
        set(&mut items[at], rest, new);
    }
}

/// Removes the value at a path, and all parents that become empty.
pub fn remove(value: &mut Value, path: &[String]) {
    let Some((element, rest)) = path.split_first() else { return };
    let empty = |v: &Value| v.as_object().is_some_and(Map::is_empty) || v.as_array().is_some_and(Vec::is_empty);
    match (element.split_at(2), value) {
        (("f:", name), Value::Object(map)) => {
            if let Some(child) = map.get_mut(name) {
                remove(child, rest);
                if rest.is_empty() || empty(child) {
                    map.shift_remove(name);
                }
            }
        }
        (_, Value::Array(items)) => {
            if let Some(at) = items.iter().position(|item| is_item(item, element)) {
                remove(&mut items[at], rest);
                if rest.is_empty() || empty(&items[at]) {
                    items.remove(at);
                }
            }
        }
        _ => (),
    }
}
