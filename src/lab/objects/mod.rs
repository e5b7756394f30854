//! The objects of one cluster, as the API server stores them: JSON by kind, namespace and name, with versions,
//! finalizers, owners and a change log.
//!
//! This module is synchronous and knows nothing about particular kinds. Effects of objects (a Deployment creates pods)
//! belong to the controllers of the model; HTTP belongs to `wire`.

mod kind;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use kind::{Kind, Resource, resources};

/// Minimum number of changes that the change log keeps for watches.
const KEPT_CHANGES: usize = 500;

/// An object as JSON text. A tree would take ten times the memory, and most of a lab's thousands of objects are never
/// read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject(Arc<str>);

impl StoredObject {
    fn encode(object: &Value) -> Self {
        Self(object.to_string().into())
    }

    /// Parses the object.
    pub fn decode(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|e| unreachable!("JSON that this program wrote must parse: {e}"))
    }

    fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

/// The kind of a change of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object was created.
    Added,
    /// The object was modified.
    Modified,
    /// The object was deleted; the change contains the last state of the object.
    Deleted,
}

impl ChangeKind {
    /// Returns the type of the event in a Kubernetes watch stream, such as `ADDED`.
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
    /// The kind of the change.
    pub change_kind: ChangeKind,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The object after the change (before the change if it was deleted), with the resourceVersion of the change.
    pub object: StoredObject,
    /// The object before the change.
    pub before: Option<StoredObject>,
}

/// The objects of one cluster, with a change log.
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
    changed: BTreeSet<ObjectKey>,
    /// The names of the pods by namespace, label and value, because clients select the pods of each Service.
    pods_by_label: HashMap<(String, String, String), BTreeSet<String>>,
}

/// Kind, namespace and name of an object.
pub type ObjectKey = (Kind, String, String);

impl Objects {
    /// Creates a cluster with the namespaces `default` and `kube-system`. UIDs are derived from `seed`; `auto_mode`
    /// selects the API group of TargetGroupBinding.
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
            changed: BTreeSet::new(),
            pods_by_label: HashMap::new(),
        };
        for name in ["kube-system", "default"] {
            new.put(Kind::Namespace, json!({"metadata": {"name": name}}), now);
        }
        new
    }

    /// Returns whether TargetGroupBinding is the kind of EKS Auto Mode.
    pub fn auto_mode(&self) -> bool {
        self.auto_mode
    }

    /// Returns the fields of TargetGroupBinding's `spec` that the cluster's CRD does not have.
    pub fn missing_binding_fields(&self) -> &[String] {
        &self.missing_binding_fields
    }

    /// Sets the fields of TargetGroupBinding's `spec` that the cluster's CRD does not have, as in an older CRD.
    pub fn set_missing_binding_fields(&mut self, fields: Vec<String>) {
        self.missing_binding_fields = fields;
    }

    /// Returns the resourceVersion of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the API resource of a kind in this cluster.
    pub fn resource(&self, kind: Kind) -> &'static Resource {
        let found = resources(self.auto_mode).find(|r| r.kind == kind);
        found.unwrap_or_else(|| unreachable!("every kind must have a resource"))
    }

    /// Returns an object. `namespace` is empty for a cluster-scoped object.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.stored.get(&kind)?.get(&(namespace.to_owned(), name.to_owned())).map(StoredObject::decode)
    }

    /// Returns whether the object exists.
    pub fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.stored.get(&kind).is_some_and(|o| o.contains_key(&(namespace.to_owned(), name.to_owned())))
    }

    /// Returns the objects of a kind, in one namespace or in all, ordered by namespace and name.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = Value> {
        self.stored_in(kind, namespace, None).map(|(_, v)| v.decode())
    }

    /// Returns the objects of [`Objects::list`] behind the namespace and name `after`. Parses an object only when it is
    /// taken.
    pub fn list_after(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
    ) -> impl Iterator<Item = Value> {
        self.stored_in(kind, namespace, after).map(|(_, v)| v.decode())
    }

    /// Returns the number of objects of [`Objects::list_after`].
    pub fn count_after(&self, kind: Kind, namespace: Option<&str>, after: &(String, String)) -> usize {
        self.stored_in(kind, namespace, Some(after)).count()
    }

    fn stored_in(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
    ) -> impl Iterator<Item = (&(String, String), &StoredObject)> {
        let first = match after {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Included((namespace.unwrap_or_default().to_owned(), String::new())),
        };
        let from_first = self.stored.get(&kind).map(|objects| objects.range((first, Bound::Unbounded)));
        from_first.into_iter().flatten().take_while(move |((ns, _), _)| namespace.is_none_or(|n| n == ns))
    }

    /// Returns the objects of a kind whose JSON contains `text`, in all namespaces. Does not parse the other objects.
    pub fn containing(&self, kind: Kind, text: &str) -> impl Iterator<Item = Value> {
        self.stored_in(kind, None, None).filter(move |(_, v)| v.contains(text)).map(|(_, v)| v.decode())
    }

    /// Returns the pods of a namespace with this label, ordered by name.
    pub fn labelled_pods(&self, namespace: &str, label: &str, value: &str) -> impl Iterator<Item = Value> {
        let names = self.pods_by_label.get(&(namespace.to_owned(), label.to_owned(), value.to_owned()));
        names.into_iter().flatten().filter_map(move |name| self.get(Kind::Pod, namespace, name))
    }

    /// Returns the keys of the objects that changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.changed)
    }

    /// Creates or replaces an object. Fields that the server owns (uid, creationTimestamp, resourceVersion, generation,
    /// apiVersion, kind) are kept or set; a missing name is generated from `generateName`. An object that is marked for
    /// deletion and has no finalizers is removed. Returns the stored object.
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
        self.index(kind, &key, old.as_ref(), Some(&value));
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

    /// Changes an object in place and returns the result; `None` if the object does not exist.
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

    /// Deletes an object and all objects that it owns (`ownerReferences`). An object with finalizers stays, with a
    /// `deletionTimestamp`, until the finalizers are removed. Returns the last state of the object; `None` if the
    /// object did not exist.
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

    /// Returns the changes after a resourceVersion, oldest first; `None` if the resourceVersion is so old that some
    /// changes are no longer in the log.
    pub fn changes_since(&self, revision: u64) -> Option<&[Change]> {
        (revision >= self.dropped_revision).then(|| &self.log[self.log.partition_point(|c| c.revision <= revision)..])
    }

    /// Turns the change log on (the default) or off, and empties the log. A watch from an earlier resourceVersion must
    /// list first.
    pub fn set_recording(&mut self, on: bool) {
        self.recording = on;
        self.log.clear();
        self.dropped_revision = self.revision;
    }

    /// Returns five random characters, as `generateName` appends them.
    pub fn random_suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(ALPHABET[self.random.usize(..ALPHABET.len())])).collect()
    }

    /// Runs a function that creates objects without using random values of this cluster, so that the names of generated
    /// objects do not depend on it.
    pub fn without_randomness(&mut self, create: impl FnOnce(&mut Self)) {
        let random = self.random.clone();
        self.random = self.random.fork();
        create(self);
        self.random = random;
    }

    fn random_uid(&mut self) -> String {
        let bits = (self.random.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    fn assign_name(&mut self, value: &mut Value) {
        let prefix = meta_text(value, "generateName").to_owned();
        if meta_text(value, "name").is_empty() && !prefix.is_empty() {
            let name = prefix + &self.random_suffix();
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
        let uid = before.is_none().then(|| self.random_uid());
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
        let old = before.as_ref().filter(|_| kind == Kind::Pod).map(StoredObject::decode);
        self.index(kind, &key, old.as_ref(), None);
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

    /// Records a change of an object for the controllers and in the index of the pods' labels.
    fn index(&mut self, kind: Kind, key: &(String, String), before: Option<&Value>, after: Option<&Value>) {
        self.changed.insert((kind, key.0.clone(), key.1.clone()));
        let labels = |object: Option<&Value>| object.map_or(Value::Null, |o| o["metadata"]["labels"].clone());
        let (before, after) = (labels(before), labels(after));
        if kind != Kind::Pod || before == after {
            return;
        }
        let of = |labels: &Value| -> Vec<_> {
            let pairs = labels.as_object().into_iter().flatten();
            pairs.filter_map(|(k, v)| Some((key.0.clone(), k.clone(), v.as_str()?.to_owned()))).collect()
        };
        for label in of(&before) {
            if let Some(names) = self.pods_by_label.get_mut(&label) {
                names.remove(&key.1);
            }
        }
        for label in of(&after) {
            self.pods_by_label.entry(label).or_default().insert(key.1.clone());
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

/// Returns the `metadata` of an object, which is created if missing.
pub fn meta(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let meta = &mut value["metadata"];
    if !meta.is_object() {
        *meta = json!({});
    }
    meta.as_object_mut().unwrap_or_else(|| unreachable!("the metadata was just set to an object"))
}

/// Returns a string field of an object's `metadata`; empty if missing.
pub fn meta_text<'a>(value: &'a Value, field: &str) -> &'a str {
    value["metadata"][field].as_str().unwrap_or_default()
}

/// Formats a time as Kubernetes does: UTC, whole seconds.
pub fn timestamp(now: Timestamp) -> Value {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn finalizers(value: &Value) -> &[Value] {
    value["metadata"]["finalizers"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
