//! Requests for objects that do not exist, exist already, or are not valid.

use serde_json::{Value, json};

use super::{ApiServerCase, assert_refused};

/// Checks that the message for a missing object has its plural and API group; the core group has no name.
pub async fn a_missing_object_is_named(subject: &ApiServerCase) {
    for (plural, full, details) in [
        ("services", "services", json!({"name": "nobody", "kind": "services"})),
        ("configmaps", "configmaps", json!({"name": "nobody", "kind": "configmaps"})),
        ("deployments", "deployments.apps", json!({"name": "nobody", "group": "apps", "kind": "deployments"})),
        (
            "targetgroupbindings",
            "targetgroupbindings.elbv2.k8s.aws",
            json!({"name": "nobody", "group": "elbv2.k8s.aws", "kind": "targetgroupbindings"}),
        ),
    ] {
        let answer = subject.get(&format!("{}/nobody", subject.of(plural))).await;
        assert_refused(&answer, 404, "NotFound", &format!("{full} \"nobody\" not found"), &details);
    }
    let answer = subject.get("/api/v1/namespaces/nowhere").await;
    assert_refused(
        &answer,
        404,
        "NotFound",
        "namespaces \"nowhere\" not found",
        &json!({"name": "nowhere", "kind": "namespaces"}),
    );
}

/// Checks that the web server responds in plain text for an API group that is not served, as in a cluster without
/// bindings.
pub async fn a_group_that_is_not_served_is_plain_text(subject: &ApiServerCase) {
    for path in ["/apis/nowhere.example/v1", "/apis/nowhere.example/v1/things"] {
        let (status, kind, body) = subject.get(path).await;
        assert_eq!((status, kind.as_str()), (404, "text/plain; charset=utf-8"), "{body}");
        assert_eq!(body, "404 page not found\n");
    }
    let answer = subject.get("/apis/apps/v1/things").await;
    assert_refused(&answer, 404, "NotFound", "the server could not find the requested resource", &json!({}));
}

/// Checks that in a missing namespace lists are empty and writes are refused.
pub async fn reads_in_a_missing_namespace_are_empty_and_writes_are_refused(subject: &ApiServerCase) {
    let (status, _, list) = subject.get("/api/v1/namespaces/nowhere/pods").await;
    assert_eq!((status, &list["items"]), (200, &json!([])));
    let answer = subject.post("/api/v1/namespaces/nowhere/configmaps", json!({"metadata": {"name": "x"}})).await;
    assert_refused(
        &answer,
        404,
        "NotFound",
        "namespaces \"nowhere\" not found",
        &json!({"name": "nowhere", "kind": "namespaces"}),
    );
}

/// Checks that creating an existing object is refused.
pub async fn an_existing_object_is_not_created_again(subject: &ApiServerCase) {
    let object = json!({"metadata": {"name": "twice"}});
    assert_eq!(subject.post(&subject.of("configmaps"), object.clone()).await.0, 201);
    let answer = subject.post(&subject.of("configmaps"), object.clone()).await;
    assert_refused(
        &answer,
        409,
        "AlreadyExists",
        "configmaps \"twice\" already exists",
        &json!({"name": "twice", "kind": "configmaps"}),
    );
    assert_eq!(subject.post(&subject.of("leases"), object.clone()).await.0, 201);
    let answer = subject.post(&subject.of("leases"), object).await;
    let details = json!({"name": "twice", "group": "coordination.k8s.io", "kind": "leases"});
    assert_refused(&answer, 409, "AlreadyExists", "leases.coordination.k8s.io \"twice\" already exists", &details);
}

/// Checks that a new object with a resourceVersion is refused; the API responds with a 500.
pub async fn a_new_object_with_a_version_is_refused(subject: &ApiServerCase) {
    let answer =
        subject.post(&subject.of("configmaps"), json!({"metadata": {"name": "v", "resourceVersion": "5"}})).await;
    assert_refused(&answer, 500, "", "resourceVersion should not be set on objects to be created", &Value::Null);
}

/// Checks that a missing or invalid name is refused.
pub async fn names_are_checked(subject: &ApiServerCase) {
    let answer = subject.post(&subject.of("configmaps"), json!({"metadata": {}})).await;
    let why = "Required value: name or generateName is required";
    let causes = json!([{"reason": "FieldValueRequired", "message": why, "field": "metadata.name"}]);
    let message = format!("ConfigMap \"\" is invalid: metadata.name: {why}");
    assert_refused(&answer, 422, "Invalid", &message, &json!({"kind": "ConfigMap", "causes": causes}));
    let (status, _, body) = subject.post(&subject.of("configmaps"), json!({"metadata": {"name": "Bad_Name"}})).await;
    assert_eq!(
        (status, &body["reason"], &body["details"]["name"]),
        (422, &json!("Invalid"), &json!("Bad_Name")),
        "{body}"
    );
    let cause = &body["details"]["causes"][0];
    assert_eq!((&cause["reason"], &cause["field"]), (&json!("FieldValueInvalid"), &json!("metadata.name")), "{body}");
}

/// Checks that body and path must agree, and that a bad request has no details.
pub async fn body_and_path_must_agree(subject: &ApiServerCase) {
    let elsewhere = json!({"metadata": {"name": "x", "namespace": "default"}});
    let answer = subject.post(&subject.of("configmaps"), elsewhere).await;
    let why = "the namespace of the provided object does not match the namespace sent on the request";
    assert_refused(&answer, 400, "BadRequest", why, &Value::Null);
    assert_eq!(subject.post(&subject.of("configmaps"), json!({"metadata": {"name": "x"}})).await.0, 201);
    let answer = subject.put(&format!("{}/x", subject.of("configmaps")), json!({"metadata": {"name": "y"}})).await;
    assert_refused(
        &answer,
        400,
        "BadRequest",
        "the name of the object (y) does not match the name on the URL (x)",
        &Value::Null,
    );
    let answer = subject.post(&format!("{}/x", subject.of("configmaps")), json!({})).await;
    assert_refused(
        &answer,
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        &json!({}),
    );
    let (status, _, body) = subject.post(&subject.of("configmaps"), json!("no object")).await;
    assert_eq!((status, &body["reason"]), (400, &json!("BadRequest")), "{body}");
}

/// Checks that strict validation names the unknown field, and the kind for built-in kinds.
pub async fn strict_validation_names_an_unknown_field(subject: &ApiServerCase) {
    let path = format!("{}?fieldValidation=Strict", subject.of("configmaps"));
    let answer = subject.post(&path, json!({"metadata": {"name": "s"}, "dat": {"a": "1"}})).await;
    let why =
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dat\"";
    assert_refused(&answer, 400, "BadRequest", why, &Value::Null);
}
