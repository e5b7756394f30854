//! Installs objects into a new cluster, and writes the files of its processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Api;

/// The static users and their groups. The token of a user equals the name. `cutover` has exactly the permissions of the
/// table in the documentation.
const USERS: [(&str, &str); 4] =
    [("admin", "system:masters"), ("manager", "system:masters"), ("controller", ""), ("cutover", "")];

/// The permissions on Kubernetes that the documentation lists.
const PERMISSIONS: [(&str, &[&str], &[&str]); 5] = [
    ("", &["namespaces", "services"], &["get"]),
    ("", &["pods"], &["list"]),
    ("apps", &["deployments", "replicasets", "statefulsets"], &["list"]),
    ("autoscaling", &["horizontalpodautoscalers"], &["list"]),
    ("elbv2.k8s.aws", &["targetgroupbindings"], &["list", "create", "patch"]),
];

/// Returns a kubeconfig with one context for each cluster, for this user.
pub fn kubeconfig(clusters: &[(&str, &str)], user: &str, authority: Option<&Path>) -> String {
    let named = |f: &dyn Fn(&(&str, &str)) -> Value| clusters.iter().map(f).collect::<Vec<_>>();
    let cluster = |url: &str| match authority {
        Some(file) => json!({"server": url, "certificate-authority": file}),
        None => json!({"server": url}),
    };
    let value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": clusters[0].0,
        "clusters": named(&|(name, url)| json!({"name": name, "cluster": cluster(url)})),
        "contexts": named(&|(name, _)| json!({"name": name, "context": {"cluster": name, "user": user}})),
        "users": [{"name": user, "user": {"token": user}}],
    });
    serde_yaml::to_string(&value).expect("the value should become YAML")
}

/// Writes the users, the token webhook's configuration and the audit policy. The certificate exists already.
pub fn server_files(folder: &Path, authenticator: &str) {
    let users: Vec<_> = USERS.iter().map(|(user, groups)| format!("{user},{user},{user},\"{groups}\"")).collect();
    let policy =
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";
    let authenticator = kubeconfig(&[("authenticator", authenticator)], "server", None);
    for (name, text) in
        [("tokens.csv", users.join("\n").as_str()), ("authenticator.yaml", &authenticator), ("audit.yaml", policy)]
    {
        std::fs::write(folder.join(name), text).expect("the file of the API server should be written");
    }
}

/// Installs the controller's definitions, roles and webhooks, the roles of the users, and a node.
pub fn install(api: &Api, stack: &Path, folder: &Path, webhooks: u16) {
    let files = stack.join("controller");
    for definition in documents(&files.join("crd")) {
        api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    }
    for role in documents(&files.join("rbac")) {
        api.create(&format!("{RBAC}/{}", collection(&role)), &role);
    }
    let rules: Vec<_> = PERMISSIONS
        .iter()
        .map(|(group, resources, verbs)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs}))
        .collect();
    api.create(&format!("{RBAC}/clusterroles"), &json!({"metadata": {"name": "cutover"}, "rules": rules}));
    bind(api, "controller", "controller-role");
    bind(api, "cutover", "cutover");
    node(api);
    // A new kind responds with 404 at first, then with 429: "storage is (re)initializing".
    while api.call("GET", "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings", None).is_err() {
        std::thread::sleep(Duration::from_millis(100));
    }
    // The webhooks are installed last, because Services and bindings need the controller from then on.
    let authority = std::fs::read(folder.join("ca.crt")).expect("the certificate of the authority should be readable");
    for configuration in webhook_configurations(&files.join("webhook"), webhooks, &authority) {
        api.create(&format!("/apis/admissionregistration.k8s.io/v1/{}", collection(&configuration)), &configuration);
    }
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn bind(api: &Api, user: &str, role: &str) {
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    api.create(
        &format!("{RBAC}/clusterrolebindings"),
        &json!({"metadata": {"name": user}, "roleRef": role, "subjects": [subject]}),
    );
}

fn node(api: &Api) {
    let labels = json!({"topology.kubernetes.io/zone": "us-east-1a", "topology.kubernetes.io/region": "us-east-1"});
    let spec = json!({"providerID": "aws:///us-east-1a/i-0123456789abcdef0"});
    api.create("/api/v1/nodes", &json!({"metadata": {"name": "node-1", "labels": labels}, "spec": spec}));
    let status = json!({
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "172.31.0.250"}],
    });
    api.merge("/api/v1/nodes/node-1/status", &json!({"status": status}));
}

/// Returns the collection of an object's kind, such as `clusterroles` for `ClusterRole`.
fn collection(object: &Value) -> String {
    object["kind"].as_str().expect("the kind should be a string").to_lowercase() + "s"
}

/// Returns all documents of all YAML files of a folder.
fn documents(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = files.map(|f| f.expect("the file should be readable").path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let parsed =
        serde_yaml::Deserializer::from_str(&text).map(|d| Value::deserialize(d).expect("the text should be YAML"));
    parsed.filter(|v| !v.is_null()).collect()
}

/// Returns the controller's webhooks with its own selectors, at a loopback port instead of a Service.
fn webhook_configurations(folder: &Path, port: u16, authority: &[u8]) -> Vec<Value> {
    use base64::Engine as _;
    let authority = base64::engine::general_purpose::STANDARD.encode(authority);
    let (mut configurations, mut patches) = (Vec::new(), BTreeMap::new());
    for document in documents(folder) {
        let webhooks = document["webhooks"].as_array().expect("the webhooks should be a list");
        if webhooks[0].get("clientConfig").is_some() {
            configurations.push(document);
        } else {
            patches.extend(webhooks.iter().map(|w| (w["name"].to_string(), w.clone())));
        }
    }
    for configuration in &mut configurations {
        configuration["metadata"]["name"] = json!("aws-load-balancer-webhook");
        for webhook in configuration["webhooks"].as_array_mut().expect("the webhooks should be a list") {
            if let Some(patch) = patches.get(&webhook["name"].to_string()) {
                webhook
                    .as_object_mut()
                    .expect("the value should be an object")
                    .extend(patch.as_object().expect("the value should be an object").clone());
            }
            let path =
                webhook["clientConfig"]["service"]["path"].as_str().expect("the path should be a string").to_owned();
            webhook["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}{path}"), "caBundle": authority});
        }
    }
    configurations
}
