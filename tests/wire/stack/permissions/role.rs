//! `examples/role.yaml` as grants, each a verb on a resource, and the grants that the events of an audit log use.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::stack::cluster::Cluster;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub namespace: Option<String>,
    pub group: String,
    pub resource: String,
    pub verb: String,
    /// The name of the only object to which the grant applies.
    pub name: Option<String>,
}

/// Returns the grants of the example, with another namespace.
pub fn example(namespace: &str) -> BTreeSet<Grant> {
    of_file("examples/role.yaml", namespace)
}

/// Returns the grants of a file with roles, with another namespace.
pub fn of_file(path: &str, namespace: &str) -> BTreeSet<Grant> {
    of_text(&std::fs::read_to_string(path).expect("the roles should be readable"), Some(namespace))
}

/// Returns the grants of documents with roles; `namespace` replaces their namespaces.
pub fn of_text(text: &str, namespace: Option<&str>) -> BTreeSet<Grant> {
    let documents =
        serde_yaml::Deserializer::from_str(text).map(|d| Value::deserialize(d).expect("the text should be YAML"));
    let mut grants = BTreeSet::new();
    for role in documents.filter(|d| d.get("rules").is_some()) {
        let own = role["metadata"].get("namespace").and_then(Value::as_str);
        let place = own.map(|own| namespace.unwrap_or(own).to_owned());
        for rule in role["rules"].as_array().expect("the rules should be a list") {
            let names = rule.get("resourceNames").map_or(vec![None], |n| texts(n).into_iter().map(Some).collect());
            for (group, resource, verb, name) in grants_of_rule(rule, names) {
                grants.insert(Grant { namespace: place.clone(), group, resource, verb, name });
            }
        }
    }
    grants
}

fn grants_of_rule(rule: &Value, names: Vec<Option<String>>) -> Vec<(String, String, String, Option<String>)> {
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                all.extend(names.iter().map(|name| (group.clone(), resource.clone(), verb.clone(), name.clone())));
            }
        }
    }
    all
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .expect("the value should be a list")
        .iter()
        .map(|v| v.as_str().expect("the value should be a string").to_owned())
        .collect()
}

/// Grants a user exactly these permissions.
pub fn grant<'a>(cluster: &Cluster, user: &str, grants: impl IntoIterator<Item = &'a Grant>) {
    let (mut everywhere, mut here) = (Vec::new(), std::collections::BTreeMap::<&str, Vec<Value>>::new());
    for grant in grants {
        let mut rule = json!({"apiGroups": [grant.group], "resources": [grant.resource], "verbs": [grant.verb]});
        if let Some(name) = &grant.name {
            rule["resourceNames"] = json!([name]);
        }
        match &grant.namespace {
            Some(namespace) => here.entry(namespace).or_default().push(rule),
            None => everywhere.push(rule),
        }
    }
    let api = "rbac.authorization.k8s.io";
    let binding = |kind: &str| {
        let role = json!({"apiGroup": api, "kind": kind, "name": user});
        json!({
            "metadata": {"name": user}, "roleRef": role, "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        })
    };
    let role = |rules: &[Value]| json!({"metadata": {"name": user}, "rules": rules});
    cluster.api.create(&format!("{RBAC}/clusterroles"), &role(&everywhere));
    cluster.api.create(&format!("{RBAC}/clusterrolebindings"), &binding("ClusterRole"));
    for (namespace, rules) in here {
        cluster.api.create(&format!("{RBAC}/namespaces/{namespace}/roles"), &role(&rules));
        cluster.api.create(&format!("{RBAC}/namespaces/{namespace}/rolebindings"), &binding("Role"));
    }
}

/// Returns the grants that these events used, Roles before ClusterRoles. Panics if an event has no grant.
pub fn used(events: &[Value], grants: &BTreeSet<Grant>) -> BTreeSet<Grant> {
    let mut used = BTreeSet::new();
    for event in events.iter().filter(|e| e.get("objectRef").is_some()) {
        let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
        assert!(code != 403, "no event may be refused: {event}");
        // A server-side apply that creates its object needs both permissions, and is logged as `patch`.
        let made = (event["verb"] == "patch" && code == 201).then_some("create");
        for verb in event["verb"].as_str().into_iter().chain(made) {
            let by = |everywhere: bool| {
                grants.iter().find(|g| g.namespace.is_none() == everywhere && allows(g, &event["objectRef"], verb))
            };
            used.insert(
                by(false).or_else(|| by(true)).unwrap_or_else(|| panic!("no grant allows {verb}: {event}")).clone(),
            );
        }
    }
    used
}

fn allows(grant: &Grant, object: &Value, verb: &str) -> bool {
    let is = |field: &str, wanted: &str| object[field].as_str().unwrap_or_default() == wanted;
    grant.verb == verb
        && is("apiGroup", &grant.group)
        && is("resource", &grant.resource)
        && grant.namespace.as_deref().is_none_or(|n| is("namespace", n))
        && grant.name.as_deref().is_none_or(|n| is("name", n))
}
