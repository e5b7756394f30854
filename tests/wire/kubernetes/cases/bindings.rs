//! TargetGroupBindings by server-side apply, as the program creates them.

use serde_json::{Value, json};

use super::{APPLY, ApiServerCase, HttpAnswer, MERGE, assert_refused};

const APPLY_QUERY: &str = "fieldManager=cutover&fieldValidation=Strict";

impl ApiServerCase {
    /// Returns a binding with additional fields in its `spec`.
    fn binding(&self, name: &str, more: Value) -> Value {
        let mut spec =
            json!({"serviceRef": {"name": "web", "port": 80}, "targetGroupARN": self.groups[0], "targetType": "ip"});
        spec.as_object_mut()
            .expect("the value should be an object")
            .extend(more.as_object().expect("the value should be an object").clone());
        let meta = json!({"name": name, "namespace": self.namespace});
        json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": meta, "spec": spec})
    }

    async fn apply(&self, name: &str, query: &str, body: Value) -> HttpAnswer {
        self.ask("PATCH", &format!("{}/{name}?{query}", self.of("targetgroupbindings")), APPLY, Some(body)).await
    }
}

/// Checks that a dry run returns the object and stores nothing.
pub async fn a_dry_run_stores_nothing(subject: &ApiServerCase) {
    let (status, _, body) =
        subject.apply("dry", &format!("{APPLY_QUERY}&dryRun=All"), subject.binding("dry", json!({}))).await;
    assert_eq!((status, &body["spec"]["targetGroupARN"]), (201, &json!(subject.groups[0])), "{body}");
    assert_eq!(subject.get(&format!("{}/dry", subject.of("targetgroupbindings"))).await.0, 404);
}

/// Checks that the first apply creates (201), the second changes nothing (200), and the applier owns the fields.
pub async fn a_second_apply_changes_nothing(subject: &ApiServerCase) {
    let wanted = subject.binding("twice", json!({"ipAddressType": "ipv4", "targetGroupProtocol": "HTTP"}));
    let (status, _, made) = subject.apply("twice", APPLY_QUERY, wanted.clone()).await;
    assert_eq!(status, 201, "{made}");
    let (status, _, again) = subject.apply("twice", APPLY_QUERY, wanted).await;
    assert_eq!((status, &again["metadata"]["generation"]), (200, &json!(1)), "{again}");
    assert_eq!(again["spec"], made["spec"]);
    let ours = |m: &&Value| m["manager"] == "cutover" && m["operation"] == "Apply";
    let managers = again["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let fields = managers.iter().find(ours).map(|m| m["fieldsV1"]["f:spec"].clone()).unwrap_or_default();
    assert_eq!((&fields["f:targetGroupARN"], &fields["f:serviceRef"]["f:port"]), (&json!({}), &json!({})), "{again}");
}

/// Checks that writing a field of another manager is a conflict whose message names the field, the manager and how the
/// manager wrote it.
pub async fn a_field_of_another_owner_is_a_conflict(subject: &ApiServerCase) {
    assert_eq!(
        subject.apply("theirs", "fieldManager=argocd-controller", subject.binding("theirs", json!({}))).await.0,
        201
    );
    let conflict = |by: &str| {
        let field = ".spec.serviceRef.port";
        let causes =
            json!([{"reason": "FieldManagerConflict", "message": format!("conflict with {by}"), "field": field}]);
        (format!("Apply failed with 1 conflict: conflict with {by}: {field}"), json!({"causes": causes}))
    };
    let ours = || subject.binding("theirs", json!({"serviceRef": {"name": "web", "port": "http"}}));
    let (message, details) = conflict("\"argocd-controller\"");
    assert_refused(&subject.apply("theirs", APPLY_QUERY, ours()).await, 409, "Conflict", &message, &details);
    let path = format!("{}/theirs?fieldManager=kubectl-edit", subject.of("targetgroupbindings"));
    assert_eq!(subject.ask("PATCH", &path, MERGE, Some(json!({"spec": {"serviceRef": {"port": 8080}}}))).await.0, 200);
    let (message, details) = conflict("\"kubectl-edit\" using elbv2.k8s.aws/v1beta1");
    assert_refused(&subject.apply("theirs", APPLY_QUERY, ours()).await, 409, "Conflict", &message, &details);
}

/// Checks that a field that the schema does not have, or a number instead of a string, is refused with a 500 before any
/// webhook.
pub async fn a_field_that_the_schema_does_not_have_is_refused(subject: &ApiServerCase) {
    let object = format!("({}/odd; elbv2.k8s.aws/v1beta1, Kind=TargetGroupBinding)", subject.namespace);
    let message =
        format!("failed to create typed patch object {object}: .spec.targetGroupProtocl: field not declared in schema");
    let answer = subject.apply("odd", APPLY_QUERY, subject.binding("odd", json!({"targetGroupProtocl": "HTTP"}))).await;
    assert_refused(&answer, 500, "", &message, &Value::Null);
    let (status, _, body) = subject.apply("odd", APPLY_QUERY, subject.binding("odd", json!({"vpcID": 7}))).await;
    let wrong = format!("failed to create typed patch object {object}: .spec.vpcID: expected string, got ");
    assert!(status == 500 && body["message"].as_str().is_some_and(|m| m.starts_with(&wrong)), "{body}");
}

/// Checks that a value that the schema does not allow is refused.
pub async fn a_value_that_the_schema_does_not_have_is_refused(subject: &ApiServerCase) {
    let answer = subject
        .apply("odd", &format!("{APPLY_QUERY}&dryRun=All"), subject.binding("odd", json!({"targetType": "banana"})))
        .await;
    let why = "Unsupported value: \"banana\": supported values: \"instance\", \"ip\"";
    let causes = json!([{"reason": "FieldValueNotSupported", "message": why, "field": "spec.targetType"}]);
    let message = format!("TargetGroupBinding.elbv2.k8s.aws \"odd\" is invalid: spec.targetType: {why}");
    let details = json!({"name": "odd", "group": "elbv2.k8s.aws", "kind": "TargetGroupBinding", "causes": causes});
    assert_refused(&answer, 422, "Invalid", &message, &details);
}

/// Checks that an apply without a field manager is refused.
pub async fn an_apply_needs_a_manager(subject: &ApiServerCase) {
    let answer = subject.apply("x", "dryRun=All", subject.binding("x", json!({}))).await;
    let why = "Required value: is required for apply patch";
    let causes = json!([{"reason": "FieldValueRequired", "message": why, "field": "fieldManager"}]);
    let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {why}");
    assert_refused(
        &answer,
        422,
        "Invalid",
        &message,
        &json!({"group": "meta.k8s.io", "kind": "PatchOptions", "causes": causes}),
    );
}

/// Checks that the webhook does not allow a change of the group or of the target type.
pub async fn the_webhook_refuses_a_change_of_group_or_target_type(subject: &ApiServerCase) {
    assert_eq!(subject.apply("kept", APPLY_QUERY, subject.binding("kept", json!({}))).await.0, 201);
    let forced = format!("{APPLY_QUERY}&force=true&dryRun=All");
    for (field, value) in [("targetGroupARN", json!(subject.groups[1])), ("targetType", json!("instance"))] {
        let (status, _, body) = subject.apply("kept", &forced, subject.binding("kept", json!({field: value}))).await;
        let why = format!("TargetGroupBinding update may not change these immutable fields: spec.{field}");
        let message = format!("admission webhook \"vtargetgroupbinding.elbv2.k8s.aws\" denied the request: {why}");
        assert_eq!((status, &body["reason"], &body["message"]), (403, &json!("Forbidden"), &json!(message)), "{body}");
    }
}

/// Checks that the webhook refuses a second binding of a group.
pub async fn the_webhook_refuses_a_second_binding_of_a_group(subject: &ApiServerCase) {
    assert_eq!(subject.apply("first", APPLY_QUERY, subject.binding("first", json!({}))).await.0, 201);
    let (status, _, body) =
        subject.apply("second", &format!("{APPLY_QUERY}&dryRun=All"), subject.binding("second", json!({}))).await;
    let why = format!("is already bound to following TargetGroupBindings [{}/first]", subject.namespace);
    assert!(status == 403 && body["message"].as_str().is_some_and(|m| m.contains(&why)), "{body}");
}

/// Checks that the webhook sets the IP address type if it is missing.
pub async fn the_webhook_sets_the_ip_address_type(subject: &ApiServerCase) {
    let (status, _, made) = subject.apply("filled", APPLY_QUERY, subject.binding("filled", json!({}))).await;
    assert_eq!((status, &made["spec"]["ipAddressType"]), (201, &json!("ipv4")), "{made}");
}
