//! `cutover compare` with two real API servers: equal clusters have no finding, each difference has exactly its
//! finding, and a missing permission is unknown, never equal.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stack::api::RefusedCall;
use crate::stack::cluster::Cluster;
use crate::stack::fixture::{REPLICAS, StackFixture, until};
use crate::stack::permissions::{self, role};

/// The role that `compare` needs.
pub const ROLE: &str = "examples/compare-role.yaml";
/// The role that the dry-run needs in the new cluster.
const DRY_RUN_ROLE: &str = "examples/compare-dry-run-role.yaml";

/// Returns the grants of the roles for a cluster.
pub fn grants(cluster: &Cluster, namespace: &str) -> BTreeSet<role::Grant> {
    let mut grants = role::of_file(ROLE, namespace);
    if cluster.name == "b" {
        grants.extend(role::of_file(DRY_RUN_ROLE, namespace));
    }
    grants
}

/// A change of an object, which can be undone.
enum Change {
    Merge(Value),
    Create(Value),
    Delete,
}

struct Difference {
    code: &'static str,
    /// The path of the object, or of the collection for [`Change::Create`]. `NS` is the namespace.
    path: &'static str,
    change: Change,
}

fn merge(code: &'static str, path: &'static str, patch: Value) -> Difference {
    Difference { code, path, change: Change::Merge(patch) }
}

fn create(code: &'static str, path: &'static str, object: Value) -> Difference {
    Difference { code, path, change: Change::Create(object) }
}

fn delete(code: &'static str, path: &'static str) -> Difference {
    Difference { code, path, change: Change::Delete }
}

/// The path of the workload.
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/NS/deployments/web";

/// Returns a change of the only container of the workload.
fn container(code: &'static str, field: &str, value: Value) -> Difference {
    let mut container = container_object();
    container[field] = value;
    merge(code, DEPLOYMENT, json!({"spec": {"template": {"spec": {"containers": [container]}}}}))
}

/// Returns the only container of the workload.
pub fn container_object() -> Value {
    json!({
        "name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "MODE", "value": "live"}],
        "envFrom": [{"configMapRef": {"name": "settings", "optional": true}}],
        "resources": {"requests": {"cpu": "500m"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    })
}

/// Gives the node room for the workload. No kubelet renews the node's lease, so that the node has the taint
/// `unreachable`, which the workload tolerates from now on.
pub fn create_room(cluster: &Cluster, namespace: &str) {
    cluster.api.merge("/api/v1/nodes/node-1", &json!({"metadata": {"labels": {"zone": "a"}}}));
    let status = json!({"status": {
        "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "500"},
        "nodeInfo": {
            "architecture": "arm64", "operatingSystem": "linux", "kubeletVersion": "v1.35.0", "machineID": "", "systemUUID": "",
            "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "", "kubeProxyVersion": "",
        },
    }});
    cluster.api.merge("/api/v1/nodes/node-1/status", &status);
    let spec = json!({"tolerations": [{"operator": "Exists"}]});
    cluster.api.merge(&DEPLOYMENT.replace("NS", namespace), &json!({"spec": {"template": {"spec": spec}}}));
}

/// Creates the objects of a cluster that the differences change.
pub fn create_platform(cluster: &Cluster, namespace: &str) {
    let create = |path: &str, object: Value| cluster.api.create(&path.replace("NS", namespace), &object);
    // Objects without a namespace may be there already, because other tests of the stack need them, too.
    let create_shared = |path: &str, object: Value| match cluster.api.call("POST", path, Some(&object)) {
        Ok(_) | Err(RefusedCall(409, _)) => {}
        Err(refused) => panic!("{path}: {refused:?}"),
    };
    create_room(cluster, namespace);
    create("/api/v1/namespaces/NS/configmaps", json!({"metadata": {"name": "settings"}, "data": {"limit": "10"}}));
    create("/api/v1/namespaces/NS/serviceaccounts", json!({"metadata": {"name": "web"}}));
    let selector = json!({"matchLabels": {"app": "web"}});
    create(
        "/apis/policy/v1/namespaces/NS/poddisruptionbudgets",
        json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": selector}}),
    );
    create(
        "/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies",
        json!({"metadata": {"name": "web"}, "spec": {"podSelector": selector, "policyTypes": ["Ingress"]}}),
    );
    create_shared("/apis/scheduling.k8s.io/v1/priorityclasses", json!({"metadata": {"name": "high"}, "value": 1000}));
    create_shared(
        "/apis/networking.k8s.io/v1/ingressclasses",
        json!({"metadata": {"name": "edge"}, "spec": {"controller": "x/y"}}),
    );
    let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
    let ingress = json!({"metadata": {"name": "web"}, "spec": {"ingressClassName": "edge", "defaultBackend": backend}});
    let ingresses = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses");
    until("the controller's webhook knows the class", || cluster.api.call("POST", &ingresses, Some(&ingress)).is_ok());
    let template = json!({"metadata": {"labels": {"app": "billing"}}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "billing", "image": "billing:1"}],
    }});
    create(
        "/apis/batch/v1/namespaces/NS/cronjobs",
        json!({"metadata": {"name": "billing"}, "spec": {
            "schedule": "0 3 1 1 *", "suspend": cluster.name == "b", "jobTemplate": {"spec": {"template": template}},
        }}),
    );
    let mailer = json!({"metadata": {"labels": {"app": "mailer"}}, "spec": {"containers": [{"name": "mailer", "image": "mailer:1"}]}});
    create(
        "/apis/apps/v1/namespaces/NS/deployments",
        json!({"metadata": {"name": "mailer"}, "spec": {
            "replicas": i32::from(cluster.name == "a"), "selector": {"matchLabels": {"app": "mailer"}}, "template": mailer,
        }}),
    );
    let spec = json!({"serviceAccountName": "web", "priorityClassName": "high", "containers": [container_object()]});
    cluster.api.merge(&DEPLOYMENT.replace("NS", namespace), &json!({"spec": {"template": {"spec": spec}}}));
}

fn differences() -> Vec<Difference> {
    let template = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    vec![
        container("CUT120", "image", json!("web:2")),
        merge("CUT121", DEPLOYMENT, json!({"spec": {"replicas": REPLICAS + 1}})),
        container("CUT123", "resources", json!({"requests": {"cpu": "250m"}})),
        container("CUT124", "readinessProbe", json!({"httpGet": {"path": "/", "port": 8080}})),
        container("CUT125", "env", json!([{"name": "MODE", "value": "test"}])),
        container("CUT126", "args", json!(["--debug"])),
        container("CUT128", "securityContext", json!({"runAsNonRoot": true})),
        merge("CUT127", DEPLOYMENT, template(json!({"volumes": [{"name": "tmp", "emptyDir": {}}]}))),
        merge("CUT130", DEPLOYMENT, template(json!({"nodeSelector": {"zone": "b"}}))),
        delete("CUT131", "/apis/policy/v1/namespaces/NS/poddisruptionbudgets/web"),
        merge(
            "CUT132",
            "/api/v1/namespaces/NS/services/web",
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9090}]}}),
        ),
        delete("CUT133", "/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies/web"),
        merge("CUT140", "/api/v1/namespaces/NS/configmaps/settings", json!({"data": {"limit": "20"}})),
        delete("CUT145", "/apis/networking.k8s.io/v1/ingressclasses/edge"),
        delete("CUT148", "/api/v1/namespaces/NS/serviceaccounts/web"),
        delete("CUT149", "/apis/scheduling.k8s.io/v1/priorityclasses/high"),
        create(
            "CUT115",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            json!({"metadata": {"name": "policy"}}),
        ),
        merge("CUT103", "/api/v1/nodes/node-1/status", json!({"status": {"nodeInfo": {"architecture": "amd64"}}})),
        merge("CUT102", "/api/v1/nodes/node-1/status", json!({"status": {"nodeInfo": {"kubeletVersion": "v1.20.0"}}})),
        create(
            "CUT164",
            "/api/v1/namespaces/NS/limitranges",
            json!({"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "4"}}]}}),
        ),
        merge("CUT109", "/api/v1/namespaces/NS", json!({"metadata": {"labels": {"istio-injection": "enabled"}}})),
        merge("CUT170", "/apis/batch/v1/namespaces/NS/cronjobs/billing", json!({"spec": {"suspend": false}})),
        merge("CUT173", "/apis/apps/v1/namespaces/NS/deployments/mailer", json!({"spec": {"replicas": 1}})),
        // No rule is about this object.
        create(
            "none",
            "/apis/apps/v1/namespaces/NS/deployments",
            json!({"metadata": {"name": "unrelated"}, "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "unrelated"}},
                "template": {"metadata": {"labels": {"app": "unrelated"}}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}},
            }}),
        ),
    ]
}

/// Applies a change, runs a function, and undoes the change.
fn with_change<T>(cluster: &Cluster, namespace: &str, difference: &Difference, check: impl FnOnce() -> T) -> T {
    let path = difference.path.replace("NS", namespace);
    let clean = |mut object: Value| {
        let metadata = object["metadata"].as_object_mut().expect("an object should have metadata");
        for field in ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"] {
            metadata.remove(field);
        }
        object
    };
    match &difference.change {
        Change::Merge(patch) => {
            let before = clean(cluster.api.get(&path));
            cluster.api.merge(&path, patch);
            let result = check();
            cluster.api.call("PUT", &path, Some(&before)).unwrap_or_else(|e| panic!("PUT {path}: {e:?}"));
            result
        }
        Change::Create(object) => {
            cluster.api.create(&path, object);
            let result = check();
            let name = object["metadata"]["name"].as_str().expect("an object should have a name");
            cluster.api.delete(&format!("{path}/{name}"));
            result
        }
        Change::Delete => {
            let before = clean(cluster.api.get(&path));
            cluster.api.delete(&path);
            let result = check();
            let (collection, _) = path.rsplit_once('/').expect("a path should have a collection");
            cluster.api.create(collection, &before);
            result
        }
    }
}

/// Applies all changes, runs a function, and undoes the changes.
fn with_changes<T>(cluster: &Cluster, namespace: &str, all: &[Difference], check: impl FnOnce() -> T) -> T {
    let Some((first, rest)) = all.split_first() else { return check() };
    let mut result = None;
    let check: Box<dyn FnOnce() -> T + '_> = Box::new(check);
    with_change(cluster, namespace, first, || result = Some(with_changes(cluster, namespace, rest, check)));
    result.expect("the function should run")
}

/// Returns all differences. The changes of the container are one change, because each replaces the list of containers.
fn together() -> Vec<Difference> {
    let mut container = container_object();
    let mut others = Vec::new();
    for difference in differences() {
        let Change::Merge(patch) = &difference.change else {
            others.push(difference);
            continue;
        };
        match patch["spec"]["template"]["spec"]["containers"][0].as_object() {
            Some(changed) => {
                let new = changed.iter().filter(|(field, value)| container_object().get(*field) != Some(value));
                new.for_each(|(field, value)| container[field] = value.clone());
            }
            None => others.push(difference),
        }
    }
    let template = json!({"spec": {"containers": [container]}});
    others.insert(0, merge("all of the container", DEPLOYMENT, json!({"spec": {"template": template}})));
    others
}

/// Runs the comparison as a user, and returns the findings and the exit code.
pub fn compare(fixture: &StackFixture, user: &str, plan: &str) -> (Vec<Value>, i32) {
    let mut command = permissions::cutover(fixture, user, &["compare", plan, "--output", "json"]);
    let output = command.output().expect("the program should run");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line should be JSON"));
    let findings: Vec<_> = lines.filter(|line| line["event"] == "finding").collect();
    let code = output.status.code().expect("the program should end by itself");
    assert!(code == 0 || code == 3, "exit {code}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    (findings, code)
}

pub fn codes(findings: &[Value]) -> Vec<&str> {
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}

#[test]
#[ignore = "tier stack"]
fn stack_each_difference_of_two_clusters_has_exactly_its_finding() {
    let fixture = StackFixture::with_own_stack("alike");
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    for cluster in clusters {
        create_platform(cluster, "alike");
        role::grant(cluster, "alike", &grants(cluster, "alike"));
        until("the pods of the new template are ready", || fixture.pods(cluster).len() == REPLICAS);
    }
    let plan = permissions::plan(&fixture);
    until("the API servers know the role", || compare(&fixture, "alike", &plan) == (vec![], 0));
    let from = clusters.map(|cluster| cluster.audit("alike").len());
    assert_eq!(compare(&fixture, "alike", &plan), (vec![], 0), "two equal clusters should have no finding");
    for (cluster, from) in clusters.iter().zip(from) {
        let events = cluster.audit("alike").split_off(from);
        let mut grants = grants(cluster, "alike");
        // Only the kinds of the plan's workloads are sent in a dry-run.
        grants.retain(|grant| grant.verb != "create" || grant.resource == "deployments");
        assert_eq!(role::used(&events, &grants), grants, "the used grants (left) must equal the granted ones (right)");
    }

    for difference in differences() {
        let b = clusters[1];
        let (expected, refuses): (&[&str], bool) = match difference.code {
            "none" => (&[], false),
            code => (&[code], ["CUT103", "CUT120", "CUT148", "CUT149", "CUT170", "CUT173"].contains(&code)),
        };
        let (findings, exit) = with_change(b, "alike", &difference, || compare(&fixture, "alike", &plan));
        assert_eq!(codes(&findings), expected, "{} {}: {findings:#?}", difference.code, difference.path);
        assert_eq!(exit, if refuses { 3 } else { 0 }, "{findings:#?}");
        until("the pods of the old template are back", || fixture.pods(b).len() == REPLICAS);
    }

    let (findings, exit) = with_changes(clusters[1], "alike", &together(), || compare(&fixture, "alike", &plan));
    let mut found = codes(&findings);
    found.sort_unstable();
    let mut expected: Vec<_> = differences().iter().map(|d| d.code).filter(|code| *code != "none").collect();
    expected.sort_unstable();
    assert_eq!((found, exit), (expected, 3), "all differences at once: {findings:#?}");
    until("the pods of the old template are back", || {
        fixture.pods(clusters[1]).len() == REPLICAS && compare(&fixture, "alike", &plan) == (vec![], 0)
    });

    // Without one of the permissions, the comparison is incomplete and says so.
    for (number, missing) in role::of_file(ROLE, "alike").iter().enumerate() {
        let user = format!("alike-{number}");
        for cluster in clusters {
            let rest: Vec<_> = grants(cluster, "alike").into_iter().filter(|grant| grant != missing).collect();
            role::grant(cluster, &user, &rest);
        }
        let group = if missing.group.is_empty() { String::new() } else { format!(".{}", missing.group) };
        let permission = format!("{} {}{group}: the permission is missing", missing.verb, missing.resource);
        let unknown = |cluster: &str| format!("{cluster}: {permission}");
        until("the API servers know the role", || {
            let (findings, exit) = compare(&fixture, &user, &plan);
            let messages: Vec<_> = findings.iter().filter_map(|finding| finding["message"].as_str()).collect();
            exit == 0 && messages == [unknown("a"), unknown("b")] && codes(&findings) == ["CUT190", "CUT190"]
        });
    }
}

/// The value of a Secret, which must not leave the API server.
const CANARY: &str = "a-value-that-nobody-may-read";

#[test]
#[ignore = "tier stack"]
fn stack_of_a_secret_only_the_number_of_keys_is_compared() {
    let fixture = StackFixture::new("secretly");
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    let secrets = "/api/v1/namespaces/secretly/secrets";
    let mut grants = role::of_file(ROLE, "secretly");
    let own = |name: &str| role::Grant {
        namespace: Some("secretly".to_owned()),
        group: String::new(),
        resource: "secrets".to_owned(),
        verb: "get".to_owned(),
        name: Some(name.to_owned()),
    };
    for cluster in clusters {
        let secret = json!({
            "metadata": {"name": "login", "annotations": {"note": CANARY}}, "stringData": {"user": CANARY, "password": CANARY},
        });
        cluster.api.create(secrets, &secret);
        let mut container = container_object();
        container["envFrom"] = json!([{"secretRef": {"name": "login"}}]);
        let template = json!({"spec": {"containers": [container]}});
        cluster.api.merge(&DEPLOYMENT.replace("NS", "secretly"), &json!({"spec": {"template": template}}));
        role::grant(cluster, "secretly-without", &grants);
    }
    grants.insert(own("login"));
    for cluster in clusters {
        role::grant(cluster, "secretly", &grants);
    }
    let plan = permissions::plan(&fixture);
    let about_secrets = |user: &str| {
        let mut command = permissions::cutover(&fixture, user, &["compare", &plan, "--output", "json"]);
        let output = command.output().expect("the program should run");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains(CANARY), "{text}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line should be JSON"));
        let texts = findings.filter(|finding| ["CUT142", "CUT190"].iter().any(|code| finding["code"] == *code));
        texts.map(|finding| finding["message"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let denied = [
        "a: get secrets: the permission is missing",
        "b: get secrets, create deployments.apps (a dry-run): the permission is missing",
    ];
    until("without the permission, Secrets are unknown", || about_secrets("secretly-without") == denied);
    let dry_run = "b: create deployments.apps (a dry-run): the permission is missing";
    until("equal numbers of keys are no finding", || about_secrets("secretly") == [dry_run]);
    let b = clusters[1];
    let login = format!("{secrets}/login");
    b.api.merge(&login, &json!({"stringData": {"token": CANARY}}));
    let expected = ["Secret secretly/login of Deployment secretly/web has 2 keys in a, 3 in b", dry_run];
    assert_eq!(about_secrets("secretly"), expected);
    b.api.delete(&login);
    assert_eq!(
        about_secrets("secretly"),
        ["Deployment secretly/web needs Secret secretly/login, which b does not have", dry_run]
    );
}
