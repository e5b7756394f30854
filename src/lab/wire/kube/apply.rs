//! Server-side apply: merges the applied fields into the object, removes fields that the manager no longer applies, and
//! reports a conflict for fields that other managers own.

use jiff::Timestamp;
use serde_json::Value;

use super::failure::Failure;
use super::fields::{self, Fields};
use super::managers::{self, Manager, ownable};
use crate::lab::objects::{Kind, meta};

/// Parameters of a server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Applier<'a> {
    /// Name of the field manager.
    pub manager: &'a str,
    /// Subresource, `status` or empty.
    pub subresource: &'a str,
    /// API version of the applied object.
    pub api_version: &'a str,
    /// Whether to take ownership of fields that other managers own.
    pub force: bool,
    /// Current time.
    pub now: Timestamp,
}

/// Returns the object after applying `wanted`. `live` is the current object, or an object with only kind and name if
/// none exists.
pub fn apply(kind: Kind, live: &Value, exists: bool, wanted: &Value, by: Applier) -> Result<Value, Failure> {
    if wanted["metadata"]["managedFields"].as_array().is_some_and(|m| !m.is_empty()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let wanted = ownable(wanted, by.subresource);
    let leaves = fields::leaves(kind, &wanted);
    let (own_entry, mut others): (Vec<_>, Vec<_>) =
        owners(kind, live, exists, by).into_iter().partition(|m| m.matches(by.manager, "Apply", by.subresource));
    let conflicts = conflicts(live, &wanted, &leaves, &others);
    if !conflicts.is_empty() && !by.force {
        let named = conflicts.iter().map(|(at, path)| {
            let other: &Manager = &others[*at];
            let using =
                if other.operation == "Apply" { String::new() } else { format!(" using {}", other.api_version) };
            (other.name.clone(), using, fields::display(path))
        });
        return Err(Failure::apply_conflict(&named.collect::<Vec<_>>()));
    }
    for (at, path) in &conflicts {
        others[*at].fields.remove(path);
    }
    let owned = own_entry.first().map(|m| m.fields.clone()).unwrap_or_default();
    let mut after = live.clone();
    let dropped = owned.difference(&leaves).filter(|p| !others.iter().any(|o| o.fields.contains(*p)));
    let (keys, rest): (Vec<_>, Vec<_>) = dropped.partition(|p| fields::is_key(p));
    for path in rest {
        fields::remove(&mut after, path);
    }
    // Remove an item of a keyed list when only its key is left: without the key, the item could not be found again.
    for path in keys {
        let item = &path[..path.len() - 1];
        let only_key = |v: &Value| v.as_object().is_some_and(|o| o.keys().all(|k| fields::key_has(item, k)));
        if fields::get(&after, item).is_some_and(only_key) {
            fields::remove(&mut after, item);
        }
    }
    for path in &leaves {
        if let Some(value) = fields::get(&wanted, path) {
            fields::set(&mut after, path, value);
        }
    }
    if exists
        && owned == leaves
        && conflicts.is_empty()
        && ownable(&after, by.subresource) == ownable(live, by.subresource)
    {
        return Ok(live.clone());
    }
    let mut me = Manager::new(by.manager, "Apply", by.subresource, by.api_version, by.now);
    me.fields = leaves;
    others.push(me);
    managers::write(&mut after, &others);
    Ok(after)
}

/// Returns the managers of an object. If there is none, the fields belong to `before-first-apply`.
fn owners(kind: Kind, live: &Value, exists: bool, by: Applier) -> Vec<Manager> {
    let found = managers::read(live);
    if !found.is_empty() || !exists {
        return found;
    }
    let mut unknown = Manager::new("before-first-apply", "Update", "", by.api_version, by.now);
    unknown.fields = fields::leaves(kind, &ownable(live, ""));
    vec![unknown]
}

/// Returns the fields that other managers own and that would change, as (index in `others`, path).
fn conflicts(live: &Value, wanted: &Value, leaves: &Fields, others: &[Manager]) -> Vec<(usize, fields::Path)> {
    let mut found = Vec::new();
    for (at, other) in others.iter().enumerate() {
        for path in &other.fields {
            let same = leaves.contains(path) && fields::get(live, path) != fields::get(wanted, path);
            let above = leaves
                .iter()
                .any(|l| l.len() < path.len() && path.starts_with(l) && fields::get(live, l) != fields::get(wanted, l));
            if same || above {
                found.push((at, path.clone()));
            }
        }
    }
    found
}

/// Returns an object with only kind and name, from which a new object is created.
pub fn name_only(body: &Value) -> Value {
    let mut bare = serde_json::json!({"apiVersion": body["apiVersion"], "kind": body["kind"]});
    for field in ["name", "namespace"] {
        if let Some(value) = body["metadata"].get(field) {
            meta(&mut bare).insert(field.into(), value.clone());
        }
    }
    bare
}
