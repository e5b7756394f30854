//! Ownership of fields, as in `metadata.managedFields`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::{self, Fields, Path};
use crate::lab::objects::{Kind, meta, timestamp};

/// A manager of an object, with the fields that it owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Manager {
    /// Name of the manager.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// Subresource, `status` or empty.
    pub subresource: String,
    /// API version of the manager's last write.
    pub api_version: String,
    /// Time of the manager's last write.
    pub time: Value,
    /// The fields that the manager owns.
    pub fields: Fields,
}

impl Manager {
    /// Creates a manager that owns no fields.
    pub fn new(name: &str, operation: &str, subresource: &str, api_version: &str, now: Timestamp) -> Self {
        let [name, operation, subresource, api_version] =
            [name, operation, subresource, api_version].map(str::to_owned);
        Self { name, operation, subresource, api_version, time: timestamp(now), fields: Fields::new() }
    }

    /// Returns whether the manager has this name, operation and subresource.
    pub fn matches(&self, name: &str, operation: &str, subresource: &str) -> bool {
        self.name == name && self.operation == operation && self.subresource == subresource
    }
}

/// Reads the managers of an object.
pub fn read(object: &Value) -> Vec<Manager> {
    let text_field = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries =
        object["metadata"]["managedFields"].as_array().into_iter().flatten().filter(|e| e["manager"].is_string());
    let manager = |e: &Value| Manager {
        name: text_field(e, "manager"),
        operation: text_field(e, "operation"),
        subresource: text_field(e, "subresource"),
        api_version: text_field(e, "apiVersion"),
        time: e["time"].clone(),
        fields: fields::decode(&e["fieldsV1"]),
    };
    entries.map(manager).collect()
}

/// Writes the managers into an object. Managers without fields are left out.
pub fn write(object: &mut Value, managers: &[Manager]) {
    let entry = |m: &Manager| {
        let mut entry = json!({
            "manager": m.name, "operation": m.operation, "apiVersion": m.api_version, "time": m.time,
            "fieldsType": "FieldsV1", "fieldsV1": fields::encode(&m.fields),
        });
        if !m.subresource.is_empty() {
            entry["subresource"] = m.subresource.as_str().into();
        }
        entry
    };
    let entries: Vec<_> = managers.iter().filter(|m| !m.fields.is_empty()).map(entry).collect();
    if entries.is_empty() {
        meta(object).shift_remove("managedFields");
    } else {
        meta(object).insert("managedFields".into(), entries.into());
    }
}

/// Returns the part of an object that managers can own: no fields of the server, and for the subresource `status` only
/// the status.
pub fn ownable(object: &Value, subresource: &str) -> Value {
    if subresource == "status" {
        return json!({"status": object["status"]});
    }
    let mut part = object.clone();
    for field in ["apiVersion", "kind", "status"] {
        part.as_object_mut().map(|o| o.shift_remove(field));
    }
    let server = [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
    ];
    let deletion = ["deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in server.iter().chain(&deletion) {
        meta(&mut part).shift_remove(*field);
    }
    if meta(&mut part).is_empty() {
        part.as_object_mut().map(|o| o.shift_remove("metadata"));
    }
    part
}

/// Records in `after` that the writer owns the changed fields, and removes these fields from all other managers. Used
/// by every write except apply.
pub fn track(kind: Kind, before: Option<&Value>, after: &mut Value, mut writer: Manager) {
    let given = after["metadata"]["managedFields"].is_array();
    let mut managers = if given { read(after) } else { before.map(read).unwrap_or_default() };
    let (old, new) =
        (before.map(|b| ownable(b, &writer.subresource)).unwrap_or_default(), ownable(after, &writer.subresource));
    let (old_leaves, new_leaves) = (fields::leaves(kind, &old), fields::leaves(kind, &new));
    let changed: Fields = new_leaves.iter().filter(|p| fields::get(&old, p) != fields::get(&new, p)).cloned().collect();
    let is_removed = |path: &Path| !new_leaves.contains(path) && old_leaves.contains(path);
    for manager in &mut managers {
        manager.fields.retain(|path| !changed.contains(path) && !is_removed(path));
    }
    if !changed.is_empty() {
        if let Some(at) = managers.iter().position(|m| m.matches(&writer.name, &writer.operation, &writer.subresource))
        {
            writer.fields = managers.remove(at).fields;
        }
        writer.fields.extend(changed);
        managers.push(writer);
    }
    write(after, &managers);
}
