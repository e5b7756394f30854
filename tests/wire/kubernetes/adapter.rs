//! The Kubernetes adapter against the lab's API, without sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use cutover::adapter::kubernetes::K8s;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::traffic::Unreadable;
use cutover::lab::objects::{Kind, Objects};
use cutover::lab::wire::kube::Server;
use cutover::plan::model::{PortRef, ServiceRef, TargetType};
use cutover::port::{Cluster, WriteError};
use http::{Request, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

type StoredObjects = Arc<Mutex<Objects>>;

fn cluster_objects(auto_mode: bool) -> StoredObjects {
    let mut objects = Objects::new(3, auto_mode, now());
    let labels = json!({"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"});
    objects.put(Kind::Namespace, json!({"metadata": {"name": "prod", "labels": labels}}), now());
    Arc::new(Mutex::new(objects))
}

/// Returns a client whose requests first go through `before`, which may respond instead of the API. A status of 444
/// means no response.
fn client(
    stored: &StoredObjects,
    before: impl Fn(&Request<hyper::body::Bytes>) -> Option<Response<Body>> + Send + Sync + 'static,
) -> K8s {
    let (stored, before) = (Arc::clone(stored), Arc::new(before));
    let server = Arc::new(Server::without_authentication("v1.33.4-eks-1"));
    let service = service_fn(move |request: Request<Body>| {
        let (stored, server, before) = (Arc::clone(&stored), Arc::clone(&server), Arc::clone(&before));
        async move {
            let (parts, body) = request.into_parts();
            let request = Request::from_parts(parts, body.collect().await.map_err(|e| e.to_string())?.to_bytes());
            if let Some(answer) = before(&request) {
                return if answer.status() == 444 { std::future::pending().await } else { Ok::<_, BoxError>(answer) };
            }
            let mut objects = stored.lock().unwrap();
            Ok(server.answer(&mut objects, &request, now()).into_response(&objects).map(Body::from))
        }
    });
    K8s::new(kube::Client::new(service, "default"))
}

fn direct_client(stored: &StoredObjects) -> K8s {
    client(stored, |_| None)
}

fn put(stored: &StoredObjects, kind: Kind, value: Value) -> String {
    stored.lock().unwrap().put(kind, value, now())["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn service() -> ServiceRef {
    ServiceRef { namespace: "prod".to_owned(), name: "web".to_owned(), port: PortRef::Number(80) }
}

const GROUP: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/web-b/0123456789abcdef";

fn wanted() -> Binding {
    let extra = json!({"ipAddressType": "ipv4", "vpcID": "vpc-1"}).as_object().unwrap().clone();
    Binding {
        namespace: "prod".to_owned(),
        name: "web-b".to_owned(),
        service: "web".to_owned(),
        port: PortRef::Name("http".to_owned()),
        target_group_arn: GROUP.to_owned(),
        target_type: Some(TargetType::Ip),
        extra,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        created: None,
        managers: BTreeSet::new(),
        identity: None,
        unknown: Vec::new(),
    }
}

fn stored_binding(stored: &StoredObjects) -> Option<Value> {
    stored.lock().unwrap().get(Kind::TargetGroupBinding, "prod", "web-b")
}

fn template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}})
}

#[tokio::test]
async fn identity_names_the_uid_the_version_and_the_api_of_bindings() {
    for (auto_mode, api) in [(false, "elbv2.k8s.aws/v1beta1"), (true, "eks.amazonaws.com/v1")] {
        let stored = cluster_objects(auto_mode);
        let uid = stored.lock().unwrap().get(Kind::Namespace, "", "kube-system").unwrap()["metadata"]["uid"].clone();
        let identity = direct_client(&stored).identity().await.unwrap();
        assert_eq!((json!(identity.uid), identity.version.as_str()), (uid, "v1.33.4-eks-1"));
        assert_eq!(identity.binding_api.as_deref(), Some(api));
    }
}

#[tokio::test]
async fn a_workload_has_its_service_pods_owners_and_autoscalers() {
    let stored = cluster_objects(false);
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}, {"port": 9090}]);
    put(
        &stored,
        Kind::Service,
        json!({"metadata": {"name": "web", "namespace": "prod"}, "spec": {"selector": {"app": "web"}, "ports": ports}}),
    );
    let deployment = |name: &str, app: &str, replicas: u32| {
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app)});
        let meta = json!({"name": name, "namespace": "prod", "annotations": {"argocd.argoproj.io/tracking-id": "x"}});
        put(&stored, Kind::Deployment, json!({"metadata": meta, "spec": spec, "status": {"readyReplicas": replicas}}))
    };
    let owner = deployment("web", "web", 700);
    deployment("resting", "web", 0);
    deployment("other", "other", 1);
    let reference = |kind: &str, name: &str, uid: &str| {
        json!([
            {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true},
        ])
    };
    let meta = json!({"name": "web-1", "namespace": "prod", "ownerReferences": reference("Deployment", "web", &owner)});
    let set = put(
        &stored,
        Kind::ReplicaSet,
        json!({"metadata": meta, "spec": {"selector": {"matchLabels": {"app": "web"}}}}),
    );
    for n in 0..700 {
        let meta = json!({
            "name": format!("web-1-{n:03}"), "namespace": "prod", "labels": {"app": "web"},
            "ownerReferences": reference("ReplicaSet", "web-1", &set),
        });
        let ready = if n == 7 { "False" } else { "True" };
        let status = json!({
            "podIP": format!("10.0.{}.{}", n / 250, n % 250), "conditions": [{"type": "Ready", "status": ready}],
        });
        let spec =
            json!({"containers": [], "readinessGates": [{"conditionType": "target-health.elbv2.k8s.aws/web-b"}]});
        put(&stored, Kind::Pod, json!({"metadata": meta, "spec": spec, "status": status}));
    }
    put(
        &stored,
        Kind::Pod,
        json!({
            "metadata": {"name": "stray", "namespace": "prod", "labels": {"app": "other"}}, "spec": {"containers": []},
        }),
    );
    for (name, target) in [("web", "web"), ("other", "other")] {
        let spec = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "maxReplicas": 900,
        });
        let status = json!({"currentReplicas": 700, "desiredReplicas": 710});
        put(
            &stored,
            Kind::HorizontalPodAutoscaler,
            json!({"metadata": {"name": name, "namespace": "prod"}, "spec": spec, "status": status}),
        );
    }

    let view = direct_client(&stored).workloads(&[&service()]).await.remove(0).unwrap();
    let service = view.service.unwrap();
    assert_eq!(service.ports, [(Some("http".to_owned()), 80), (None, 9090)]);
    assert_eq!(
        (view.pods.len(), view.pods.iter().filter(|p| p.ready).count()),
        (700, 699),
        "the pods of both pages must be read"
    );
    assert_eq!(view.pods[251].ip.as_deref(), Some("10.0.1.1"));
    assert_eq!(view.pods[0].readiness_gates, ["target-health.elbv2.k8s.aws/web-b"]);
    assert_eq!(view.pods[0].created, Some(now()));
    let owners: Vec<_> = view.owners.iter().map(|o| (o.kind.as_str(), o.name.as_str(), o.replicas, o.ready)).collect();
    assert_eq!(owners, [("Deployment", "resting", 0, 0), ("Deployment", "web", 700, 700)]);
    assert_eq!(view.owners[0].managed_by.as_deref(), Some("Argo CD"));
    let hpas: Vec<_> = view.hpas.iter().map(|h| (h.target.as_str(), h.min, h.max, h.current, h.desired)).collect();
    assert_eq!(hpas, [("Deployment/web", 1, 900, 700, 710)]);
    assert_eq!(view.namespace_labels["elbv2.k8s.aws/pod-readiness-gate-inject"], "enabled");
}

#[tokio::test]
async fn a_missing_object_is_empty_and_not_an_error() {
    let view = direct_client(&cluster_objects(false)).workloads(&[&service()]).await.remove(0).unwrap();
    assert_eq!((view.service, view.pods.len(), view.owners.len()), (None, 0, 0));
}

#[tokio::test]
async fn a_binding_is_applied_once_and_read_back_as_applied() {
    for auto_mode in [false, true] {
        let stored = cluster_objects(auto_mode);
        let cluster = direct_client(&stored);
        cluster.apply(&wanted(), true).await.unwrap();
        assert_eq!(stored_binding(&stored), None, "a dry run must store nothing");
        cluster.apply(&wanted(), false).await.unwrap();
        let first = stored_binding(&stored).unwrap();
        assert_eq!(first["metadata"]["managedFields"][0]["manager"], "cutover");
        cluster.apply(&wanted(), false).await.unwrap();
        assert_eq!(stored_binding(&stored).unwrap(), first, "applying again must change nothing");
        let read = cluster.bindings().await.unwrap().remove(0);
        assert_eq!(read.created, Some(now()));
        assert_eq!(Binding { created: None, managers: BTreeSet::new(), identity: None, ..read }, wanted());
    }
}

#[tokio::test]
async fn a_field_that_someone_else_owns_is_refused_by_name() {
    let stored = cluster_objects(false);
    let fields =
        json!({"f:spec": {"f:serviceRef": {"f:name": {}, "f:port": {}}, "f:targetGroupARN": {}, "f:targetType": {}}});
    let managed = json!([
        {"manager": "argocd-controller", "operation": "Apply", "apiVersion": "elbv2.k8s.aws/v1beta1",
        "fieldsType": "FieldsV1", "fieldsV1": fields},
    ]);
    let spec = json!({"serviceRef": {"name": "web", "port": 8080}, "targetGroupARN": GROUP, "targetType": "ip"});
    put(
        &stored,
        Kind::TargetGroupBinding,
        json!({"metadata": {"name": "web-b", "namespace": "prod", "managedFields": managed}, "spec": spec}),
    );
    let before = stored_binding(&stored);
    let refused = direct_client(&stored).apply(&wanted(), false).await;
    let why = "owned by someone else: .spec.serviceRef.port (conflict with \"argocd-controller\")";
    assert_eq!(refused, Err(WriteError::Refused(why.to_owned())));
    assert_eq!(stored_binding(&stored), before);
}

#[tokio::test]
async fn a_dry_run_reports_the_webhook_and_strict_validation() {
    let stored = cluster_objects(false);
    let cluster = direct_client(&stored);
    let mut unknown = wanted();
    unknown.extra.insert("targetGroupProtocl".to_owned(), json!("HTTP"));
    let why = "failed to create typed patch object (prod/web-b; elbv2.k8s.aws/v1beta1, Kind=TargetGroupBinding): .spec.targetGroupProtocl: field not declared in schema; the TargetGroupBinding CRD of this cluster is older than `targetGroupProtocl`: apply the CRDs of the controller's version (Helm does not update CRDs), or remove the field from `binding`";
    assert_eq!(cluster.apply(&unknown, true).await, Err(WriteError::Refused(why.to_owned())));
    cluster.apply(&wanted(), false).await.unwrap();
    let twice = Binding { name: "again".to_owned(), ..wanted() };
    let Err(WriteError::Refused(why)) = cluster.apply(&twice, true).await else {
        panic!("a second binding of a group must be refused")
    };
    assert!(why.contains("is already bound to following TargetGroupBindings [prod/web-b]"), "{why}");
    let moved = Binding { target_group_arn: GROUP.replace("web-b", "web-c"), ..wanted() };
    let Err(WriteError::Refused(why)) = cluster.apply(&moved, true).await else {
        panic!("a binding must not move to another group")
    };
    assert!(why.contains("may not change these immutable fields: spec.targetGroupARN"), "{why}");
    let nowhere = Binding { namespace: "nowhere".to_owned(), ..wanted() };
    assert_eq!(
        cluster.apply(&nowhere, false).await,
        Err(WriteError::NotFound("namespaces \"nowhere\" not found".to_owned()))
    );
}

fn status(code: u16, message: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "",
        "code": code,
    });
    Response::builder().status(code).body(Body::from(status.to_string().into_bytes())).unwrap()
}

#[tokio::test]
async fn every_status_code_gets_its_own_error() {
    let stored = cluster_objects(false);
    let with = |code: u16| client(&stored, move |_| Some(status(code, "why")));
    assert_eq!(with(429).identity().await, Err(Unreadable::Throttled));
    assert_eq!(with(403).identity().await, Err(Unreadable::Denied("why".to_owned())));
    assert!(matches!(with(401).identity().await, Err(Unreadable::Credentials(_))));
    assert_eq!(with(503).identity().await, Err(Unreadable::Unavailable("503 why".to_owned())));
    let write = |code: u16| client(&stored, move |r| (r.method() == "PATCH").then(|| status(code, "why")));
    assert_eq!(write(429).apply(&wanted(), false).await, Err(WriteError::Throttled));
    assert_eq!(write(403).apply(&wanted(), false).await, Err(WriteError::Refused("why".to_owned())));
    assert_eq!(write(500).apply(&wanted(), false).await, Err(WriteError::Unanswered("500 why".to_owned())));
    assert_eq!(with(503).apply(&wanted(), false).await, Err(WriteError::NotSent("503 why".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_times_out_and_an_apply_without_response_is_unknown() {
    let stored = cluster_objects(false);
    let silent = client(&stored, |r| (r.method() == "PATCH" || r.uri().path() == "/version").then(|| status(444, "")));
    assert!(matches!(silent.identity().await, Err(Unreadable::Unavailable(_))));
    assert_eq!(
        silent.apply(&wanted(), false).await,
        Err(WriteError::Unanswered("apply: no response within 15 s".to_owned()))
    );
}

#[tokio::test]
async fn an_older_crd_gets_its_fields_and_the_missing_ones_are_named() {
    let stored = cluster_objects(false);
    let set_missing_fields = |fields: &[&str]| {
        stored.lock().unwrap().set_missing_binding_fields(fields.iter().map(|f| (*f).to_owned()).collect());
    };
    let cluster = direct_client(&stored);
    set_missing_fields(&["vpcID", "ipAddressType"]);
    let left_out = cluster.apply(&wanted(), true).await.unwrap();
    assert_eq!(
        (left_out.as_slice(), stored_binding(&stored)),
        (["ipAddressType".to_owned(), "vpcID".to_owned()].as_slice(), None)
    );
    cluster.apply(&wanted(), false).await.unwrap();
    assert_eq!(stored_binding(&stored).unwrap()["spec"].get("vpcID"), None);
    let read = cluster.bindings().await.unwrap().remove(0);
    assert_eq!(
        wanted().differences(&read),
        Vec::<String>::new(),
        "a field that the API does not have must not be a difference"
    );
    // A controller without this field supports only IPv4.
    let mut ipv6 = wanted();
    ipv6.extra.insert("ipAddressType".to_owned(), json!("ipv6"));
    let Err(WriteError::Refused(why)) = cluster.apply(&ipv6, true).await else {
        panic!("IPv6 must be refused if the API lacks the field")
    };
    assert!(why.contains("older than `ipAddressType` and `vpcID`: apply the CRDs"), "{why}");
}

#[tokio::test]
async fn a_binding_with_unknown_values_does_not_hide_the_others() {
    let stored = cluster_objects(false);
    let cluster = direct_client(&stored);
    cluster.apply(&wanted(), false).await.unwrap();
    let spec = json!({"serviceRef": {"name": "x", "port": 80}, "targetGroupARN": "arn:x", "targetType": "lambda"});
    put(&stored, Kind::TargetGroupBinding, json!({"metadata": {"name": "odd", "namespace": "prod"}, "spec": spec}));
    let all = cluster.bindings().await.unwrap();
    let unknown: Vec<_> = all.iter().map(|b| (b.name.as_str(), b.unknown.clone())).collect();
    assert_eq!(unknown, [("odd", vec!["targetType"]), ("web-b", vec![])]);
}
