//! Lists of the kinds that a lab has no objects of, for `cutover compare`.

use serde_json::{Value, json};

use crate::domain::compare::facts::{KINDS, KindApi, Scope};

/// Returns an empty list if the path is a list of a kind that every cluster serves.
pub fn list(path: &str) -> Option<Value> {
    let api = KINDS.iter().filter(|api| !api.optional).find(|api| is_list(api, path))?;
    let kind = format!("{:?}List", api.kind);
    Some(json!({"apiVersion": api.version, "kind": kind, "metadata": {"resourceVersion": "1"}, "items": []}))
}

fn is_list(api: &KindApi, path: &str) -> bool {
    let namespace = path.split_once("/namespaces/").and_then(|(_, rest)| rest.split('/').next());
    path == api.path(None) || (api.scope == Scope::Namespaces && path == api.path(namespace))
}
