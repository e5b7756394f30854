//! Errors as a Kubernetes API answers them: a `Status` with a code, a reason and details.

use serde_json::{Value, json};

use crate::lab::objects::Resource;

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, …; some have none.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// `details` of the Status.
    pub details: Value,
}

impl Failure {
    /// Any error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    /// 404 for an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", full(resource));
        Self { details: about(resource, name), ..Self::new(404, "NotFound", message) }
    }

    /// 404 for a path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409 on creation.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", full(resource));
        Self { details: about(resource, name), ..Self::new(409, "AlreadyExists", message) }
    }

    /// 409 on a write that expected another resourceVersion or uid.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", full(resource));
        Self { details: about(resource, name), ..Self::new(409, "Conflict", message) }
    }

    /// 409 on a server-side apply: (manager, operation with its API version, field) for each field that someone else owns.
    pub fn apply_conflict(owned: &[(String, String, String)]) -> Self {
        let cause = |(manager, version, field): &(String, String, String)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\"{version}"), "field": field});
        let (s, list): (_, Vec<_>) =
            (if owned.len() == 1 { "" } else { "s" }, owned.iter().map(|(m, v, f)| format!("conflict with \"{m}\"{v}: {f}")).collect());
        let message = format!("Apply failed with {} conflict{s}: {}", owned.len(), list.join("; "));
        let details = json!({"causes": owned.iter().map(cause).collect::<Vec<_>>()});
        Self { details, ..Self::new(409, "Conflict", message) }
    }

    /// 422: the object is wrong at `field`.
    pub fn invalid(resource: &Resource, name: &str, field: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {field}: {why}", kind_and_group(resource));
        let mut details = about(resource, name);
        details["kind"] = resource.name.into();
        let reason = if why.starts_with("Unsupported value") { "FieldValueNotSupported" } else { "FieldValueInvalid" };
        details["causes"] = json!([{"reason": reason, "message": why, "field": field}]);
        Self { details, ..Self::new(422, "Invalid", message) }
    }

    /// 400.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", why)
    }

    /// 500: a server-side apply of a field that the kind's schema does not have, whatever validation was asked for.
    pub fn not_in_schema(resource: &Resource, place: &str, field: &str) -> Self {
        let kind = format!("{}, Kind={}", resource.api_version(), resource.name);
        Self::new(500, "", format!("failed to create typed patch object ({place}; {kind}): .{field}: field not declared in schema"))
    }

    /// An admission webhook said no.
    pub fn denied(webhook: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("admission webhook \"{webhook}\" denied the request: {why}"))
    }

    /// The Status object.
    pub fn status(&self) -> Value {
        let mut status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if self.details.as_object().is_some_and(|d| !d.is_empty()) {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn full(resource: &Resource) -> String {
    if resource.group.is_empty() { resource.plural.to_owned() } else { format!("{}.{}", resource.plural, resource.group) }
}

fn kind_and_group(resource: &Resource) -> String {
    if resource.group.is_empty() { resource.name.to_owned() } else { format!("{}.{}", resource.name, resource.group) }
}

fn about(resource: &Resource, name: &str) -> Value {
    json!({"name": name, "group": resource.group, "kind": resource.plural})
}
