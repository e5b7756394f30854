//! One cluster's objects, as its API server stores them: JSON by kind, namespace and name, with versions, finalizers,
//! owners and a change log.
//!
//! Generic and synchronous. The meaning of objects (a Deployment creates pods) belongs to the model's controllers,
//! their transport to `wire`.

mod kind;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use kind::{Kind, Resource, resources};

/// Minimum number of changes that are kept for watches.
const KEPT_CHANGES: usize = 500;

/// An object as JSON text. A tree takes ten times the memory, and hardly any of a lab's thousands of objects is ever
/// read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject(Arc<str>);

impl StoredObject {
    fn encode(object: &Value) -> Self {
        Self(object.to_string().into())
    }

    /// Parses the object.
    pub fn decode(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|e| unreachable!("what was written as JSON reads as JSON: {e}"))
    }

    fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object is new.
    Added,
    /// The object has changed.
    Modified,
    /// The object is deleted; the change holds its last state.
    Deleted,
}

impl ChangeKind {
    /// The name in a watch.
    pub fn watch_type(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// An entry of the change log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The resourceVersion of the change.
    pub revision: u64,
    /// Kind of the change.
    pub change_kind: ChangeKind,
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The object after the change (before it, when deleted), with the resourceVersion of the change.
    pub object: StoredObject,
    /// The object before the change.
    pub before: Option<StoredObject>,
}

/// One cluster's objects.
#[derive(Debug, Clone)]
pub struct Objects {
    auto_mode: bool,
    random: fastrand::Rng,
    revision: u64,
    stored: BTreeMap<Kind, BTreeMap<(String, String), StoredObject>>,
    log: Vec<Change>,
    dropped_revision: u64,
    recording: bool,
    missing_binding_fields: Vec<String>,
}

impl Objects {
    /// A cluster with the namespaces `default` and `kube-system`. UIDs come from `seed`; `auto_mode` chooses the API
    /// group of TargetGroupBinding.
    pub fn new(seed: u64, auto_mode: bool, now: Timestamp) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let mut new = Self {
            auto_mode,
            random,
            revision: 0,
            stored: BTreeMap::new(),
            log: Vec::new(),
            dropped_revision: 0,
            recording: true,
            missing_binding_fields: Vec::new(),
        };
        for name in ["kube-system", "default"] {
            new.put(Kind::Namespace, json!({"metadata": {"name": name}}), now);
        }
        new
    }

    /// Whether TargetGroupBinding is EKS Auto Mode's.
    pub fn auto_mode(&self) -> bool {
        self.auto_mode
    }

    /// Fields of TargetGroupBinding's `spec` that the cluster's CRD does not have.
    pub fn missing_binding_fields(&self) -> &[String] {
        &self.missing_binding_fields
    }

    /// Makes the CRD of TargetGroupBinding older: it does not have these fields of `spec`.
    pub fn set_missing_binding_fields(&mut self, fields: Vec<String>) {
        self.missing_binding_fields = fields;
    }

    /// The resourceVersion of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The API resource of a kind in this cluster.
    pub fn resource(&self, kind: Kind) -> &'static Resource {
        let found = resources(self.auto_mode).find(|r| r.kind == kind);
        found.unwrap_or_else(|| unreachable!("every kind has a resource"))
    }

    /// Returns an object. The namespace is empty for cluster-scoped objects.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.stored.get(&kind)?.get(&(namespace.to_owned(), name.to_owned())).map(StoredObject::decode)
    }

    /// Whether the object exists.
    pub fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.stored.get(&kind).is_some_and(|o| o.contains_key(&(namespace.to_owned(), name.to_owned())))
    }

    /// The objects of a kind, in one namespace or in all, by namespace and name.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = Value> {
        let all = self.stored.get(&kind).into_iter().flatten();
        all.filter(move |((ns, _), _)| namespace.is_none_or(|n| n == ns)).map(|(_, v)| v.decode())
    }

    /// Creates or replaces an object. Fields that the server owns (uid, creationTimestamp, resourceVersion, generation,
    /// apiVersion, kind) are kept or filled in; a missing name is made from `generateName`. An object that is being
    /// deleted and has no finalizers is removed. Returns the stored object.
    pub fn put(&mut self, kind: Kind, mut value: Value, now: Timestamp) -> Value {
        self.assign_name(&mut value);
        let resource = self.resource(kind);
        if !resource.namespaced {
            meta(&mut value).remove("namespace");
        } else if meta_text(&value, "namespace").is_empty() {
            meta(&mut value).insert("namespace".into(), "default".into());
        }
        let key = (meta_text(&value, "namespace").to_owned(), meta_text(&value, "name").to_owned());
        let before = self.stored.get(&kind).and_then(|o| o.get(&key)).cloned();
        let old = before.as_ref().map(StoredObject::decode);
        self.fill_server_fields(resource, &mut value, old.as_ref(), now);
        if old.as_ref() == Some(&value) {
            return value;
        }
        self.revision += 1;
        meta(&mut value).insert("resourceVersion".into(), self.revision.to_string().into());
        if !meta_text(&value, "deletionTimestamp").is_empty() && finalizers(&value).is_empty() {
            self.remove(kind, key, value.clone(), now);
            return value;
        }
        let object = StoredObject::encode(&value);
        self.stored.entry(kind).or_default().insert(key.clone(), object.clone());
        let verb = if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.record(Change {
            revision: self.revision,
            change_kind: verb,
            kind,
            namespace: key.0,
            name: key.1,
            object,
            before,
        });
        value
    }

    /// Changes an object in place and returns the result; `None`: it does not exist.
    pub fn update(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Value),
    ) -> Option<Value> {
        let mut value = self.get(kind, namespace, name)?;
        change(&mut value);
        Some(self.put(kind, value, now))
    }

    /// Deletes an object and the objects that it owns (`ownerReferences`). With finalizers it stays, with a
    /// `deletionTimestamp`, until they are removed. Returns its last state; `None`: it did not exist.
    pub fn delete(&mut self, kind: Kind, namespace: &str, name: &str, now: Timestamp) -> Option<Value> {
        let mut value = self.get(kind, namespace, name)?;
        if finalizers(&value).is_empty() {
            self.revision += 1;
            meta(&mut value).insert("resourceVersion".into(), self.revision.to_string().into());
            self.remove(kind, (namespace.to_owned(), name.to_owned()), value.clone(), now);
            return Some(value);
        }
        if meta_text(&value, "deletionTimestamp").is_empty() {
            meta(&mut value).insert("deletionTimestamp".into(), timestamp(now));
            meta(&mut value).insert("deletionGracePeriodSeconds".into(), 0.into());
        }
        Some(self.put(kind, value, now))
    }

    /// The changes after a resourceVersion, oldest first; `None`: it is too old, some changes are no longer in the log.
    pub fn changes_since(&self, revision: u64) -> Option<&[Change]> {
        (revision >= self.dropped_revision).then(|| &self.log[self.log.partition_point(|c| c.revision <= revision)..])
    }

    /// Turns the change log on (the default) or off, and empties it. A watch from an earlier resourceVersion has to
    /// list first.
    pub fn set_recording(&mut self, on: bool) {
        self.recording = on;
        self.log.clear();
        self.dropped_revision = self.revision;
    }

    /// Returns five random characters, as `generateName` appends them.
    pub fn suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(ALPHABET[self.random.usize(..ALPHABET.len())])).collect()
    }

    fn uid(&mut self) -> String {
        let bits = (self.random.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    fn assign_name(&mut self, value: &mut Value) {
        let prefix = meta_text(value, "generateName").to_owned();
        if meta_text(value, "name").is_empty() && !prefix.is_empty() {
            let name = prefix + &self.suffix();
            meta(value).insert("name".into(), name.into());
        }
    }

    fn fill_server_fields(&mut self, resource: &Resource, value: &mut Value, before: Option<&Value>, now: Timestamp) {
        value["apiVersion"] = resource.api_version().into();
        value["kind"] = resource.name.into();
        if resource.kind == Kind::Namespace && value["status"].is_null() {
            value["status"] = json!({"phase": "Active"});
        }
        let generation = before.map_or(1, |b| {
            let changed = b.get("spec") != value.get("spec");
            b["metadata"]["generation"].as_u64().unwrap_or(1) + u64::from(changed)
        });
        let counted = !matches!(
            resource.kind,
            Kind::Lease | Kind::Service | Kind::Node | Kind::Namespace | Kind::HorizontalPodAutoscaler
        );
        let has_spec = counted && value.get("spec").is_some_and(|s| !s.is_null());
        let uid = before.is_none().then(|| self.uid());
        let meta = meta(value);
        if has_spec {
            meta.insert("generation".into(), generation.into());
        }
        if let Some(before) = before {
            for field in ["uid", "creationTimestamp", "resourceVersion"] {
                meta.insert(field.into(), before["metadata"][field].clone());
            }
        } else {
            meta.insert("uid".into(), uid.into());
            meta.entry("creationTimestamp").or_insert_with(|| timestamp(now));
        }
    }

    fn remove(&mut self, kind: Kind, key: (String, String), object: Value, now: Timestamp) {
        let before = self.stored.get_mut(&kind).and_then(|o| o.remove(&key));
        let uid = meta_text(&object, "uid").to_owned();
        self.record(Change {
            revision: self.revision,
            change_kind: ChangeKind::Deleted,
            kind,
            namespace: key.0,
            name: key.1,
            object: StoredObject::encode(&object),
            before,
        });
        for (kind, namespace, name) in self.owned_by(&uid) {
            self.delete(kind, &namespace, &name, now);
        }
    }

    fn owned_by(&self, uid: &str) -> Vec<(Kind, String, String)> {
        let owned = |v: &StoredObject| {
            v.contains(uid)
                && v.decode()["metadata"]["ownerReferences"]
                    .as_array()
                    .is_some_and(|o| o.iter().any(|o| o["uid"] == uid))
        };
        let all = self.stored.iter().flat_map(|(kind, objects)| objects.iter().map(move |(key, v)| (kind, key, v)));
        all.filter(|(_, _, v)| owned(v)).map(|(kind, key, _)| (*kind, key.0.clone(), key.1.clone())).collect()
    }

    fn record(&mut self, change: Change) {
        if !self.recording {
            self.dropped_revision = change.revision;
            return;
        }
        self.log.push(change);
        if self.log.len() >= 2 * KEPT_CHANGES {
            self.log.drain(..KEPT_CHANGES).for_each(|c| self.dropped_revision = c.revision);
        }
    }
}

/// An object's `metadata`, created if it is missing.
pub fn meta(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let meta = &mut value["metadata"];
    if !meta.is_object() {
        *meta = json!({});
    }
    meta.as_object_mut().unwrap_or_else(|| unreachable!("just made an object"))
}

/// A string in an object's `metadata`; empty if it is missing.
pub fn meta_text<'a>(value: &'a Value, field: &str) -> &'a str {
    value["metadata"][field].as_str().unwrap_or_default()
}

/// A time in the Kubernetes format: UTC, whole seconds.
pub fn timestamp(now: Timestamp) -> Value {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn finalizers(value: &Value) -> &[Value] {
    value["metadata"]["finalizers"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
