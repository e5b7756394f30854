//! Compares the lab's API server with a real API server: the same requests must get the same responses in all parts
//! that the program uses.

use cutover::lab::objects::{Kind, Objects};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kubernetes::lab::client;
use crate::stack::api::{Api, RefusedCall};
use crate::stack::fixture::StackFixture;

const BINDINGS: &str = "/apis/elbv2.k8s.aws/v1beta1/namespaces/contract/targetgroupbindings";

/// Returns the path of a server-side apply as the program sends it: with its field manager and strict validation.
fn apply(name: &str, more: &str) -> String {
    format!("{BINDINGS}/{name}?fieldManager=cutover&fieldValidation=Strict{more}")
}

/// Returns the lab's API server, without sockets, with the same namespace and Service.
fn lab(real: &Api) -> Api {
    let mut objects = Objects::new(3, false, Timestamp::now());
    objects.put(Kind::Namespace, json!({"metadata": {"name": "contract"}}), Timestamp::now());
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let service = json!({
        "metadata": {"name": "web", "namespace": "contract"}, "spec": {"selector": {"app": "web"}, "ports": ports},
    });
    objects.put(Kind::Service, service, Timestamp::now());
    real.with_client(|| client(objects))
}

/// A request, and the compared parts of the response: everything of a refusal, or these fields of an object.
struct Case(&'static str, &'static str, String, Option<Value>, &'static [&'static str]);

impl Case {
    fn response(&self, api: &Api) -> Value {
        let Self(_, method, path, body, parts) = self;
        match api.call(method, path, body.as_ref()) {
            Ok(value) => parts.iter().map(|p| json!([p, value.pointer(p)])).collect(),
            // The real server responds in plain text.
            Err(RefusedCall(404, status)) if status["message"].as_str().is_none_or(|m| !m.contains('"')) => json!(404),
            Err(RefusedCall(code, status)) => json!({"code": code, "status": status}),
        }
    }
}

fn binding(name: &str, spec: &Value) -> Value {
    let meta = json!({"name": name, "namespace": "contract"});
    json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": meta, "spec": spec})
}

fn reads() -> Vec<Case> {
    let get = |what, path: &str, parts| Case(what, "GET", path.to_owned(), None, parts);
    let list: &[&str] = &["/kind", "/apiVersion"];
    vec![
        get("a namespace", "/api/v1/namespaces/contract", &["/kind", "/metadata/name"]),
        get("no such namespace", "/api/v1/namespaces/nowhere", &[]),
        get(
            "a Service",
            "/api/v1/namespaces/contract/services/web",
            &["/kind", "/spec/ports/0/name", "/spec/ports/0/port", "/spec/ports/0/targetPort"],
        ),
        get("no such Service", "/api/v1/namespaces/contract/services/none", &[]),
        get("no such API", "/apis/eks.amazonaws.com/v1", &[]),
        get("the API of bindings", "/apis/elbv2.k8s.aws/v1beta1", &["/kind", "/groupVersion"]),
        get(
            "pods",
            "/api/v1/namespaces/contract/pods?labelSelector=app%3Dnone&limit=500",
            &["/kind", "/items", "/metadata/continue"],
        ),
        get("deployments", "/apis/apps/v1/namespaces/contract/deployments?labelSelector=app%3Dnone", list),
        get("autoscalers", "/apis/autoscaling/v2/namespaces/contract/horizontalpodautoscalers", list),
        get("bindings everywhere", "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings?limit=500", list),
        get("no such binding", &format!("{BINDINGS}/web-b"), &[]),
    ]
}

/// Returns the cases of server-side apply of bindings by several field managers, and of the controller's webhooks.
fn bindings(group: &str) -> Vec<Case> {
    let spec = json!({
        "serviceRef": {"name": "web", "port": "http"}, "targetGroupARN": group, "targetType": "ip",
        "ipAddressType": "ipv4",
    });
    let with = |key: &str, value: Value| {
        let mut spec = spec.clone();
        spec[key] = value;
        binding("web-b", &spec)
    };
    let ours = binding("web-b", &spec);
    let (dry, real, kept): (_, _, &[&str]) =
        (apply("web-b", "&dryRun=All"), apply("web-b", ""), COMPARED_BINDING_FIELDS);
    let other = |more| apply("web-b", more).replace("=cutover&", "=argocd-controller&");
    let port = |port: u64| with("serviceRef", json!({"name": "web", "port": port}));
    let nowhere = serde_json::from_str(&ours.to_string().replace("\"contract\"", "\"nowhere\""))
        .expect("the text should be JSON");
    let patch = |what, path: &str, body: &Value, parts| Case(what, "PATCH", path.to_owned(), Some(body.clone()), parts);
    vec![
        patch("a dry run", &dry, &ours, kept),
        Case("which left nothing", "GET", format!("{BINDINGS}/web-b"), None, &[]),
        patch("an unknown field", &dry, &with("targetGroupProtocl", json!("HTTP")), &[]),
        patch("no such target type", &dry, &with("targetType", json!("lambda")), &[]),
        patch("nodes for targets by IP", &dry, &with("nodeSelector", json!({"matchLabels": {"a": "b"}})), &[]),
        patch("no such namespace", &real.replace("namespaces/contract", "namespaces/nowhere"), &nowhere, &[]),
        patch("applied", &real, &ours, kept),
        patch("applied again", &real, &ours, kept),
        patch("another's field", &other(""), &port(8080), &[]),
        patch("another's field by force", &other("&force=true"), &port(80), &["/spec/serviceRef"]),
        patch("ours, which is another's now", &real, &ours, &[]),
        patch("an immutable field", &format!("{BINDINGS}/web-b"), &json!({"spec": {"targetType": "instance"}}), &[]),
        patch("a second binding of a group", &apply("web-b2", "&dryRun=All"), &binding("web-b2", &spec), &[]),
    ]
}

const COMPARED_BINDING_FIELDS: &[&str] = &[
    "/kind",
    "/metadata/name",
    "/spec/serviceRef",
    "/spec/targetType",
    "/spec/ipAddressType",
    "/metadata/managedFields/0/manager",
    "/metadata/managedFields/0/operation",
];

/// Returns the cases on which the shared store depends.
fn versions() -> Vec<Case> {
    let lease = |name: &str, version: Option<&str>| {
        let meta = json!({"name": name, "namespace": "contract", "resourceVersion": version});
        let spec =
            json!({"holderIdentity": "us", "leaseDurationSeconds": 30, "renewTime": "2026-11-21T01:00:00.000000Z"});
        Some(json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}))
    };
    let map = |name: &str, version: Option<&str>| {
        let meta = json!({"name": name, "namespace": "contract", "resourceVersion": version});
        Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"00000001": "a"}}))
    };
    let leases = "/apis/coordination.k8s.io/v1/namespaces/contract/leases";
    let maps = "/api/v1/namespaces/contract/configmaps";
    let spec: &[&str] = &["/kind", "/spec"];
    vec![
        Case("a lease", "POST", leases.to_owned(), lease("lock", None), spec),
        Case("a lease that is there", "POST", leases.to_owned(), lease("lock", None), &[]),
        Case("a lease over an old version", "PUT", format!("{leases}/lock"), lease("lock", Some("1")), &[]),
        Case(
            "replacing a lease that does not exist creates it",
            "PUT",
            format!("{leases}/none"),
            lease("none", Some("1")),
            spec,
        ),
        Case("a ConfigMap", "POST", maps.to_owned(), map("journal", None), &["/kind", "/data"]),
        Case("a ConfigMap that is there", "POST", maps.to_owned(), map("journal", None), &[]),
        Case("a ConfigMap over an old version", "PUT", format!("{maps}/journal"), map("journal", Some("1")), &[]),
        Case("a ConfigMap that is not there is not", "PUT", format!("{maps}/none"), map("none", Some("1")), &[]),
    ]
}

#[test]
#[ignore = "tier stack"]
fn stack_the_lab_gives_the_same_responses_as_a_real_api_server() {
    let fixture = StackFixture::new("contract");
    let real = &fixture.stack.b.api;
    let lab = lab(real);
    let cases: Vec<_> = [reads(), bindings(&fixture.groups["b"]), versions()].into_iter().flatten().collect();
    let mut differences = Vec::new();
    for case in &cases {
        let [theirs, labs] = [real, &lab].map(|api| case.response(api));
        if theirs != labs {
            differences.push(format!("{}:\n  real {theirs}\n  lab  {labs}", case.0));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} responses differ\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}
