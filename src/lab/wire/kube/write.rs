//! Requests that create, replace, patch or delete objects.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::{self, Applier};
use super::failure::Failure;
use super::managers::{self, Manager};
use super::path::{Query, ResourcePath};
use super::{patch, read, validate};
use crate::lab::objects::{Kind, Objects, meta, meta_text, timestamp};

/// A write request, with the objects and the settings that it needs.
pub struct Write<'a> {
    /// The objects of the cluster.
    pub objects: &'a mut Objects,
    /// The resource that the write addresses.
    pub target: &'a ResourcePath,
    /// Query parameters of the request.
    pub query: &'a Query,
    /// Name of the client program, used as the manager if the request has no `fieldManager`.
    pub agent: &'a str,
    /// Current time.
    pub now: Timestamp,
}

/// Status and body of the response.
pub type WriteAnswer = Result<(u16, Value), Failure>;

impl Write<'_> {
    /// Handles POST to a collection: creates an object.
    pub fn create(&mut self, mut body: Value) -> WriteAnswer {
        self.check(&mut body, None)?;
        if meta_text(&body, "name").is_empty() && !meta_text(&body, "generateName").is_empty() {
            let name = meta_text(&body, "generateName").to_owned() + &self.objects.random_suffix();
            meta(&mut body).insert("name".into(), name.into());
        }
        let name = meta_text(&body, "name").to_owned();
        if name.is_empty() {
            return Err(Failure::invalid(
                self.target.resource,
                "",
                "metadata.name",
                "Required value: name or generateName is required",
            ));
        }
        validate::name(self.target.resource, &name)?;
        if !meta_text(&body, "resourceVersion").is_empty() {
            return Err(Failure::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        validate::refuse_by_policy(self.objects, self.target.resource)?;
        if self.stored(&name).is_some() {
            return Err(Failure::already_exists(self.target.resource, &name));
        }
        self.namespace_exists()?;
        drop_status(self.target, &mut body, None);
        self.track(None, &mut body);
        self.store(None, body).map(|v| (201, v))
    }

    /// Handles PUT: replaces an object.
    pub fn replace(&mut self, mut body: Value) -> WriteAnswer {
        let (name, kind) = (self.name(), self.target.resource.kind);
        let (wanted, before) = (meta_text(&body, "uid"), self.stored(&name));
        let found = before.as_ref().map_or_else(String::new, |b| meta_text(b, "uid").to_owned());
        if !wanted.is_empty() && wanted != found {
            let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
            return Err(Failure::conflict(self.target.resource, &name, &why));
        }
        let Some(before) = before else {
            // PUT creates a Lease that does not exist.
            if kind != Kind::Lease {
                return Err(Failure::not_found(self.target.resource, &name));
            }
            meta(&mut body).shift_remove("resourceVersion");
            return self.create(body);
        };
        if self.target.subresource.as_deref() == Some("scale") {
            return self.rescale(&before, &body);
        }
        self.check(&mut body, Some(&name))?;
        if matches!(kind, Kind::Lease | Kind::TargetGroupBinding) && meta_text(&body, "resourceVersion").is_empty() {
            return Err(Failure::unversioned(self.target.resource, &name));
        }
        self.store_changed(&before, body)
    }

    /// Handles PATCH, by the content type.
    pub fn patch(&mut self, content_type: &str, body: Value) -> WriteAnswer {
        let name = self.name();
        let before = self.stored(&name);
        if content_type.starts_with("application/apply-patch") {
            return self.apply(&name, before, body);
        }
        let before = before.ok_or_else(|| Failure::not_found(self.target.resource, &name))?;
        let scale = self.target.subresource.as_deref() == Some("scale");
        let mut after = if scale { read::scale(&before) } else { before.clone() };
        match content_type {
            "application/merge-patch+json" => patch::apply_merge(&mut after, &body),
            "application/json-patch+json" => patch::json(&mut after, &body)?,
            "application/strategic-merge-patch+json" if self.target.resource.kind != Kind::TargetGroupBinding => {
                patch::apply_strategic(self.target.resource.kind, &mut after, &body);
            }
            _ => {
                return Err(Failure::new(
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format",
                ));
            }
        }
        if scale {
            self.rescale(&before, &after)
        } else {
            self.check(&mut after, Some(&name)).and_then(|()| self.store_changed(&before, after))
        }
    }

    /// Handles DELETE of one object.
    pub fn delete(&mut self, options: &Value) -> WriteAnswer {
        let name = self.name();
        let before = self.stored(&name).ok_or_else(|| Failure::not_found(self.target.resource, &name))?;
        for field in ["uid", "resourceVersion"] {
            let wanted = &options["preconditions"][field];
            if wanted.is_string() && *wanted != before["metadata"][field] {
                return Err(Failure::conflict(self.target.resource, &name, &format!("Precondition failed: {field}")));
            }
        }
        let policy = options["propagationPolicy"].as_str().unwrap_or_else(|| self.query.get("propagationPolicy"));
        if policy == "Orphan" || options["orphanDependents"] == true {
            return Err(Failure::bad_request("this API does not support orphaning dependents"));
        }
        let dry = self.query.dry_run() || options["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All"));
        let kind = self.target.resource.kind;
        if kind == Kind::Namespace && !dry {
            self.delete_contents(&name);
        }
        let last = if dry {
            before
        } else {
            self.objects.delete(kind, self.target.namespace(), &name, self.now).unwrap_or(before)
        };
        if meta_text(&last, "deletionTimestamp").is_empty() {
            let mut details = Failure::not_found(self.target.resource, &name).details;
            details["uid"] = last["metadata"]["uid"].clone();
            return Ok((
                200,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
            ));
        }
        Ok((200, last))
    }

    fn name(&self) -> String {
        self.target.name.clone().unwrap_or_default()
    }

    fn stored(&self, name: &str) -> Option<Value> {
        self.objects.get(self.target.resource.kind, self.target.namespace(), name)
    }

    fn subresource(&self) -> &str {
        self.target.subresource.as_deref().unwrap_or_default()
    }

    /// Deletes all objects in a namespace.
    fn delete_contents(&mut self, namespace: &str) {
        let kinds: Vec<_> =
            crate::lab::objects::resources(self.objects.auto_mode()).filter(|r| r.namespaced).map(|r| r.kind).collect();
        for kind in kinds {
            let names: Vec<_> =
                self.objects.list(kind, Some(namespace)).map(|o| meta_text(&o, "name").to_owned()).collect();
            for name in names {
                self.objects.delete(kind, namespace, &name, self.now);
            }
        }
    }

    fn namespace_exists(&self) -> Result<(), Failure> {
        let namespace = self.target.namespace();
        if !self.target.resource.namespaced || self.objects.has(Kind::Namespace, "", namespace) {
            return Ok(());
        }
        Err(Failure::not_found(self.objects.resource(Kind::Namespace), namespace))
    }

    /// Checks that the body has the kind, namespace and name of the path, and no unknown fields under strict
    /// validation.
    fn check(&self, body: &mut Value, name: Option<&str>) -> Result<(), Failure> {
        let resource = self.target.resource;
        let (version, kind) =
            (body["apiVersion"].as_str().unwrap_or_default(), body["kind"].as_str().unwrap_or_default());
        if (!version.is_empty() && version != resource.api_version()) || (!kind.is_empty() && kind != resource.name) {
            let (wanted, given) = (resource.api_version(), format!("{version}, Kind={kind}"));
            return Err(Failure::bad_request(format!(
                "{given} in the body does not match {wanted}, Kind={} in the path",
                resource.name
            )));
        }
        if self.query.get("fieldValidation") == "Strict" {
            let unknown = validate::unknown_fields(resource.kind, body, self.objects.missing_binding_fields())?;
            if !unknown.is_empty() {
                let list: Vec<_> = unknown.iter().map(|f| format!("unknown field \"{f}\"")).collect();
                let (version, kind) = (resource.api_version(), resource.name);
                // The API names the kind only for built-in kinds.
                let own = format!("{kind} in version \"{version}\" cannot be handled as a {kind}: ");
                let prefix = if resource.kind == Kind::TargetGroupBinding { String::new() } else { own };
                return Err(Failure::bad_request(format!("{prefix}strict decoding error: {}", list.join(", "))));
            }
        }
        validate::prune(resource.kind, body);
        if resource.namespaced {
            let namespace = self.target.namespace().to_owned();
            if !matches!(meta_text(body, "namespace"), "") && meta_text(body, "namespace") != namespace {
                return Err(Failure::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            meta(body).insert("namespace".into(), namespace.into());
        }
        match name {
            Some(name) if meta_text(body, "name") != name => Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                meta_text(body, "name")
            ))),
            _ => Ok(()),
        }
    }

    /// Stores `after` if the resourceVersion and uid that the client sent match `before`.
    fn store_changed(&mut self, before: &Value, mut after: Value) -> WriteAnswer {
        let seen = meta_text(&after, "resourceVersion");
        if !seen.is_empty() && seen != meta_text(before, "resourceVersion") {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Failure::conflict(self.target.resource, meta_text(before, "name"), why));
        }
        let uid = meta_text(&after, "uid");
        if !uid.is_empty() && uid != meta_text(before, "uid") {
            return Err(Failure::conflict(
                self.target.resource,
                meta_text(before, "name"),
                "Precondition failed: UID in precondition",
            ));
        }
        drop_status(self.target, &mut after, Some(before));
        keep_deletion(before, &mut after);
        self.track(Some(before), &mut after);
        self.store(Some(before), after).map(|v| (200, v))
    }

    fn rescale(&mut self, before: &Value, scale: &Value) -> WriteAnswer {
        let mut after = before.clone();
        let replicas =
            scale["spec"]["replicas"].as_u64().ok_or_else(|| Failure::bad_request("spec.replicas: not a number"))?;
        after["spec"]["replicas"] = replicas.into();
        meta(&mut after).insert("resourceVersion".into(), scale["metadata"]["resourceVersion"].clone());
        let (status, stored) = self.store_changed(before, after)?;
        Ok((status, read::scale(&stored)))
    }

    fn apply(&mut self, name: &str, before: Option<Value>, mut body: Value) -> WriteAnswer {
        let manager = self.query.get("fieldManager");
        if manager.is_empty() {
            return Err(Failure::no_manager());
        }
        let wrong = validate::schema_errors(self.target.resource.kind, &body, self.objects.missing_binding_fields())?;
        if !wrong.is_empty() {
            return Err(Failure::untyped(self.target.resource, meta_text(&body, "namespace"), name, &wrong));
        }
        if meta_text(&body, "name").is_empty() {
            meta(&mut body).insert("name".into(), name.into());
        }
        self.check(&mut body, Some(name))?;
        let (version, resource) = (self.target.resource.api_version(), self.target.resource);
        let by = Applier {
            manager,
            subresource: self.subresource(),
            api_version: &version,
            force: self.query.is("force"),
            now: self.now,
        };
        let Some(before) = before else {
            self.namespace_exists()?;
            if !meta_text(&body, "uid").is_empty() || !self.subresource().is_empty() {
                return Err(Failure::not_found(resource, name));
            }
            let new = apply::apply(resource.kind, &apply::name_only(&body), false, &body, by)?;
            return self.store(None, new).map(|v| (201, v));
        };
        let seen = meta_text(&body, "resourceVersion");
        if !seen.is_empty() && seen != meta_text(&before, "resourceVersion") {
            return Err(Failure::conflict(resource, name, "the object has been modified"));
        }
        let after = apply::apply(resource.kind, &before, true, &body, by)?;
        self.store(Some(&before), after).map(|v| (200, v))
    }

    fn track(&self, before: Option<&Value>, after: &mut Value) {
        let named = self.query.get("fieldManager");
        let name = if named.is_empty() { self.agent } else { named };
        let writer = Manager::new(name, "Update", self.subresource(), &self.target.resource.api_version(), self.now);
        managers::track(self.target.resource.kind, before, after, writer);
    }

    fn store(&mut self, before: Option<&Value>, mut after: Value) -> Result<Value, Failure> {
        let resource = self.target.resource;
        validate::set_defaults(resource.kind, &mut after);
        validate::admit(self.objects, resource, before, &after)?;
        if !self.query.dry_run() {
            return Ok(self.objects.put(resource.kind, after, self.now));
        }
        after["apiVersion"] = resource.api_version().into();
        after["kind"] = resource.name.into();
        if before.is_none() {
            meta(&mut after).insert("creationTimestamp".into(), timestamp(self.now));
        }
        Ok(after)
    }
}

/// Restores the part that a write may not change: a write to `status` changes only the status, and other writes do not
/// change the status.
fn drop_status(target: &ResourcePath, after: &mut Value, before: Option<&Value>) {
    if !target.resource.has_status {
        return;
    }
    if let (Some("status"), Some(before)) = (target.subresource.as_deref(), before) {
        let (status, managed) = (after["status"].take(), after["metadata"]["managedFields"].take());
        *after = before.clone();
        after["status"] = status;
        if managed.is_array() {
            meta(after).insert("managedFields".into(), managed);
        }
        return;
    }
    let status = before.and_then(|b| b.get("status")).cloned();
    match (after.as_object_mut(), status) {
        (Some(after), Some(status)) => drop(after.insert("status".into(), status)),
        (Some(after), None) => drop(after.shift_remove("status")),
        _ => (),
    }
}

/// Copies the deletion fields from `before`, because a deletion cannot be undone.
fn keep_deletion(before: &Value, after: &mut Value) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        meta(after).shift_remove(field);
        if let Some(value) = before["metadata"].get(field) {
            meta(after).insert(field.into(), value.clone());
        }
    }
}
