//! Errors of a Kubernetes API: a `Status` object with code, reason and details.

use serde_json::{Value, json};

use crate::lab::objects::Resource;

/// An error response of the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// Reason such as `NotFound` or `Conflict`; empty as in unexpected errors of a real API server.
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
    /// The `details` of the Status; null if there are none.
    pub details: Value,
}

impl Failure {
    /// Creates an error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// Creates the error 404 for an object that does not exist.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", plural_and_group(resource));
        Self { details: details(resource, name), ..Self::new(404, "NotFound", message) }
    }

    /// Creates the error 404 for a path that is not served.
    pub fn no_such_path() -> Self {
        Self { details: json!({}), ..Self::new(404, "NotFound", "the server could not find the requested resource") }
    }

    /// Creates the error 409 for the creation of an object that exists.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", plural_and_group(resource));
        Self { details: details(resource, name), ..Self::new(409, "AlreadyExists", message) }
    }

    /// Creates the error 409 for a write whose resourceVersion or uid does not match.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", plural_and_group(resource));
        Self { details: details(resource, name), ..Self::new(409, "Conflict", message) }
    }

    /// Creates the error 409 for a server-side apply, with (manager, operation with its API version, field) for each
    /// field that another manager owns.
    pub fn apply_conflict(owned: &[(String, String, String)]) -> Self {
        let cause = |(manager, version, field): &(String, String, String)| {
            json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\"{version}"),
                "field": field,
            })
        };
        let (s, list): (_, Vec<_>) = (
            if owned.len() == 1 { "" } else { "s" },
            owned.iter().map(|(m, v, f)| format!("conflict with \"{m}\"{v}: {f}")).collect(),
        );
        let message = format!("Apply failed with {} conflict{s}: {}", owned.len(), list.join("; "));
        let details = json!({"causes": owned.iter().map(cause).collect::<Vec<_>>()});
        Self { details, ..Self::new(409, "Conflict", message) }
    }

    /// Creates the error 422 for an object that is not valid at `field`.
    pub fn invalid(resource: &Resource, name: &str, field: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {field}: {why}", kind_and_group(resource));
        let mut details = details(resource, name);
        details["kind"] = resource.name.into();
        details["causes"] = json!([{"reason": cause(why), "message": why, "field": field}]);
        Self { details, ..Self::new(422, "Invalid", message) }
    }

    /// Creates the error 422 for a replacement without resourceVersion, of a kind that requires it.
    pub fn unversioned(resource: &Resource, name: &str) -> Self {
        let (field, why) = ("metadata.resourceVersion", "Invalid value: 0: must be specified for an update");
        let mut details = details(resource, name);
        details["causes"] = json!([{"reason": cause(why), "message": why, "field": field}]);
        Self {
            details,
            ..Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {field}: {why}", plural_and_group(resource)))
        }
    }

    /// Creates the error 422 for a server-side apply without a field manager.
    pub fn no_manager() -> Self {
        let (field, why) = ("fieldManager", "Required value: is required for apply patch");
        let causes = json!([{"reason": cause(why), "message": why, "field": field}]);
        let details = json!({"group": "meta.k8s.io", "kind": "PatchOptions", "causes": causes});
        Self {
            details,
            ..Self::new(422, "Invalid", format!("PatchOptions.meta.k8s.io \"\" is invalid: {field}: {why}"))
        }
    }

    /// Creates the error 500, without reason, for a server-side apply of fields that the schema does not have. `wrong`
    /// has entries such as `.spec.x: field not declared in schema`.
    pub fn untyped(resource: &Resource, namespace: &str, name: &str, wrong: &[String]) -> Self {
        let listed = if let [one] = wrong { one.clone() } else { format!("errors:\n  {}", wrong.join("\n  ")) };
        let object = format!("{namespace}/{name}; {}, Kind={}", resource.api_version(), resource.name);
        Self::new(500, "", format!("failed to create typed patch object ({object}): {listed}"))
    }

    /// Creates the error 400 for a request that cannot be understood.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", why)
    }

    /// Creates the error 403 for a request that an admission webhook denied.
    pub fn denied(webhook: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("admission webhook \"{webhook}\" denied the request: {why}"))
    }

    /// Returns the Status object of the response.
    pub fn status(&self) -> Value {
        let mut status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message});
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status["code"] = self.code.into();
        status
    }
}

/// Returns the reason of a cause, derived from the start of the cause's message.
fn cause(why: &str) -> &'static str {
    match why.split(':').next() {
        Some("Required value") => "FieldValueRequired",
        Some("Unsupported value") => "FieldValueNotSupported",
        _ => "FieldValueInvalid",
    }
}

fn plural_and_group(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}

fn kind_and_group(resource: &Resource) -> String {
    if resource.group.is_empty() { resource.name.to_owned() } else { format!("{}.{}", resource.name, resource.group) }
}

fn details(resource: &Resource, name: &str) -> Value {
    let given = [("name", name), ("group", resource.group), ("kind", resource.plural)];
    given
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), Value::from(text)))
        .collect()
}
