//! Patches other than server-side apply: JSON merge patch, strategic merge patch, JSON patch.

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::fields::keys;
use crate::lab::objects::Kind;

/// Applies a JSON merge patch (RFC 7386).
pub fn apply_merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|t| t.shift_remove(name));
        } else {
            apply_merge(&mut target[name.as_str()], value);
        }
    }
}

/// Applies a strategic merge patch: merges keyed lists by their keys, and follows the directives that kubectl sends.
pub fn apply_strategic(kind: Kind, target: &mut Value, patch: &Value) {
    strategic_at(kind, target, patch, &mut Vec::new());
}

fn strategic_at(kind: Kind, target: &mut Value, patch: &Value, path: &mut Vec<String>) {
    match patch {
        Value::Object(patch) => object(kind, target, patch, path),
        Value::Array(items) => match keys(kind, path).first() {
            Some(key) if items.iter().all(Value::is_object) => list(kind, target, items, key, path),
            _ => *target = patch.clone(),
        },
        _ => *target = patch.clone(),
    }
}

fn object(kind: Kind, target: &mut Value, patch: &Map<String, Value>, path: &mut Vec<String>) {
    if !target.is_object() || patch.get("$patch").is_some_and(|p| p == "replace") {
        *target = json!({});
    }
    for (name, value) in patch {
        if let Some(field) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let removed = value.as_array().map_or(&[][..], Vec::as_slice);
            if let Some(items) = target[field].as_array_mut() {
                items.retain(|i| !removed.contains(i));
            }
        } else if name.starts_with('$') {
            // The order of list items and `$retainKeys` do not matter here.
        } else if value.is_null() {
            target.as_object_mut().map(|t| t.shift_remove(name));
        } else {
            path.push(format!("f:{name}"));
            strategic_at(kind, &mut target[name.as_str()], value, path);
            path.pop();
        }
    }
}

fn list(kind: Kind, target: &mut Value, items: &[Value], key: &str, path: &mut Vec<String>) {
    if !target.is_array() || items.iter().any(|i| i["$patch"] == "replace" && i.get(key).is_none()) {
        *target = json!([]);
    }
    let Some(found) = target.as_array_mut() else { return };
    for item in items.iter().filter(|i| i.get(key).is_some()) {
        let at = found.iter().position(|f| f[key] == item[key]);
        match (at, item["$patch"] == "delete") {
            (Some(at), true) => drop(found.remove(at)),
            (None, true) => (),
            (Some(at), false) => strategic_at(kind, &mut found[at], item, path),
            (None, false) => {
                let mut new = json!({});
                strategic_at(kind, &mut new, item, path);
                found.push(new);
            }
        }
    }
}

/// Applies a JSON patch (RFC 6902). The operations `move` and `copy` are not supported.
pub fn json(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    for operation in patch.as_array().ok_or_else(|| Failure::bad_request("a JSON patch is a list"))? {
        apply_operation(target, operation).ok_or_else(|| {
            Failure::new(422, "Invalid", format!("the server rejected our request: cannot do {operation}"))
        })?;
    }
    Ok(())
}

fn apply_operation(target: &mut Value, operation: &Value) -> Option<()> {
    let pointer = operation["path"].as_str()?;
    let (parent, last) = pointer.rsplit_once('/')?;
    let name = last.replace("~1", "/").replace("~0", "~");
    let verb = operation["op"].as_str()?;
    if verb == "test" {
        return (target.pointer(pointer)? == &operation["value"]).then_some(());
    }
    match (verb, target.pointer_mut(parent)?) {
        ("add", Value::Object(map)) => drop(map.insert(name, operation["value"].clone())),
        ("replace", Value::Object(map)) => *map.get_mut(&name)? = operation["value"].clone(),
        ("remove", Value::Object(map)) => drop(map.shift_remove(&name)?),
        ("add", Value::Array(items)) => {
            let at = if name == "-" { items.len() } else { name.parse().ok().filter(|at| *at <= items.len())? };
            items.insert(at, operation["value"].clone());
        }
        ("replace", Value::Array(items)) => *items.get_mut(name.parse::<usize>().ok()?)? = operation["value"].clone(),
        ("remove", Value::Array(items)) => {
            let at = name.parse().ok().filter(|at| *at < items.len())?;
            items.remove(at);
        }
        _ => return None,
    }
    Some(())
}
