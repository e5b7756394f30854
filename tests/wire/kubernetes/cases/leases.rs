//! Leases and ConfigMaps as locks and journals: a replace succeeds only with the version that was read.

use serde_json::{Value, json};

use super::{ApiServerCase, assert_refused};

const STALE_VERSION_MESSAGE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Checks that of two clients that replace the same version, the second gets a conflict. The lock and the journal
/// depend on this.
pub async fn a_stale_version_is_refused(subject: &ApiServerCase) {
    for (plural, full, details) in [
        ("configmaps", "configmaps", json!({"name": "one", "kind": "configmaps"})),
        (
            "leases",
            "leases.coordination.k8s.io",
            json!({"name": "one", "group": "coordination.k8s.io", "kind": "leases"}),
        ),
    ] {
        let (path, field) = (subject.of(plural), if plural == "leases" { "spec" } else { "data" });
        let content = |who: &str| if plural == "leases" { json!({"holderIdentity": who}) } else { json!({"who": who}) };
        let (status, _, read) =
            subject.post(&path, json!({"metadata": {"name": "one"}, field: content("nobody")})).await;
        assert_eq!(status, 201, "{read}");
        let replaced = |who: &str| {
            let mut mine = read.clone();
            mine[field] = content(who);
            mine
        };
        let (status, _, first) = subject.put(&format!("{path}/one"), replaced("alice")).await;
        assert_eq!(status, 200, "{first}");
        assert_ne!(first["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
        let answer = subject.put(&format!("{path}/one"), replaced("bob")).await;
        assert_refused(
            &answer,
            409,
            "Conflict",
            &format!("Operation cannot be fulfilled on {full} \"one\": {STALE_VERSION_MESSAGE}"),
            &details,
        );
        assert_eq!(subject.get(&format!("{path}/one")).await.2[field], content("alice"));
    }
}

/// Checks that replacing an object by an equal object keeps its version.
pub async fn replacing_by_an_equal_object_changes_nothing(subject: &ApiServerCase) {
    let path = subject.of("configmaps");
    let (_, _, made) = subject.post(&path, json!({"metadata": {"name": "same"}, "data": {"a": "1"}})).await;
    let (status, _, again) = subject.put(&format!("{path}/same"), made.clone()).await;
    assert_eq!((status, &again["metadata"]["resourceVersion"]), (200, &made["metadata"]["resourceVersion"]));
}

/// Checks that a ConfigMap can be replaced without its version, but a Lease cannot.
pub async fn a_lease_is_not_replaced_without_its_version(subject: &ApiServerCase) {
    let path = subject.of("configmaps");
    assert_eq!(subject.post(&path, json!({"metadata": {"name": "free"}})).await.0, 201);
    assert_eq!(
        subject.put(&format!("{path}/free"), json!({"metadata": {"name": "free"}, "data": {"a": "1"}})).await.0,
        200
    );
    let path = subject.of("leases");
    assert_eq!(
        subject.post(&path, json!({"metadata": {"name": "held"}, "spec": {"holderIdentity": "alice"}})).await.0,
        201
    );
    let answer = subject
        .put(&format!("{path}/held"), json!({"metadata": {"name": "held"}, "spec": {"holderIdentity": "bob"}}))
        .await;
    let why = "Invalid value: 0: must be specified for an update";
    let causes = json!([{"reason": "FieldValueInvalid", "message": why, "field": "metadata.resourceVersion"}]);
    let message = format!("leases.coordination.k8s.io \"held\" is invalid: metadata.resourceVersion: {why}");
    let details = json!({"name": "held", "group": "coordination.k8s.io", "kind": "leases", "causes": causes});
    assert_refused(&answer, 422, "Invalid", &message, &details);
}

/// Checks that replacing a deleted ConfigMap fails, and that replacing a deleted Lease creates it, even with its old
/// version.
pub async fn replacing_a_deleted_lease_creates_it(subject: &ApiServerCase) {
    let answer =
        subject.put(&format!("{}/gone", subject.of("configmaps")), json!({"metadata": {"name": "gone"}})).await;
    assert_refused(
        &answer,
        404,
        "NotFound",
        "configmaps \"gone\" not found",
        &json!({"name": "gone", "kind": "configmaps"}),
    );
    for (name, meta) in [("gone", json!({"name": "gone"})), ("went", json!({"name": "went", "resourceVersion": "7"}))] {
        let lease = json!({"metadata": meta, "spec": {"holderIdentity": "alice"}});
        let (status, _, made) = subject.put(&format!("{}/{name}", subject.of("leases")), lease).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!(made["spec"]["holderIdentity"], "alice");
        assert_eq!(made["metadata"]["generation"], Value::Null, "a Lease must have no generation");
    }
}

/// Checks that replacing a Lease by its UID neither creates it nor replaces a new Lease of the same name.
pub async fn replacing_a_deleted_lease_by_its_uid_is_refused(subject: &ApiServerCase) {
    let path = subject.of("leases");
    let (_, _, lease) =
        subject.post(&path, json!({"metadata": {"name": "ours"}, "spec": {"holderIdentity": "alice"}})).await;
    assert_eq!(subject.ask("DELETE", &format!("{path}/ours"), super::JSON, None).await.0, 200);
    let conflict = |(status, _, body): super::HttpAnswer| {
        assert_eq!((status, &body["reason"]), (409, &json!("Conflict")), "{body}");
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: ",
            lease["metadata"]["uid"].as_str().expect("the UID should be a string")
        );
        assert!(body["message"].as_str().is_some_and(|m| m.contains(&why)), "{body}");
    };
    conflict(subject.put(&format!("{path}/ours"), lease.clone()).await);
    assert_eq!(subject.get(&format!("{path}/ours")).await.0, 404);
    assert_eq!(
        subject.post(&path, json!({"metadata": {"name": "ours"}, "spec": {"holderIdentity": "bob"}})).await.0,
        201
    );
    conflict(subject.put(&format!("{path}/ours"), lease.clone()).await);
    assert_eq!(subject.get(&format!("{path}/ours")).await.2["spec"]["holderIdentity"], "bob");
}

/// Checks that a Lease must have a duration above zero.
pub async fn a_lease_lasts_at_least_a_second(subject: &ApiServerCase) {
    let lease = json!({"metadata": {"name": "short"}, "spec": {"holderIdentity": "alice", "leaseDurationSeconds": 0}});
    let answer = subject.post(&subject.of("leases"), lease).await;
    let why = "Invalid value: 0: must be greater than 0";
    let causes = json!([{"reason": "FieldValueInvalid", "message": why, "field": "spec.leaseDurationSeconds"}]);
    let message = format!("Lease.coordination.k8s.io \"short\" is invalid: spec.leaseDurationSeconds: {why}");
    let details = json!({"name": "short", "group": "coordination.k8s.io", "kind": "Lease", "causes": causes});
    assert_refused(&answer, 422, "Invalid", &message, &details);
}
