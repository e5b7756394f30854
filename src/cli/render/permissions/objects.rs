//! The IAM policy and the Kubernetes objects as JSON values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::view::permissions::{ClusterGrants, Condition, Grant, Statement};

/// The condition key of the tag on header rules.
pub(super) const HEADER_RULE_TAG: &str = "aws:ResourceTag/cutover.dev/header-route";

/// The name of the roles and their bindings.
const NAME: &str = "cutover";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Returns the IAM policy.
pub fn policy(statements: &[Statement]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements.iter().map(statement).collect::<Vec<_>>()})
}

fn statement(statement: &Statement) -> Value {
    let mut value = json!({
        "Sid": statement.sid,
        "Effect": "Allow",
        "Action": one_or_many(&statement.actions.iter().map(|action| (*action).to_owned()).collect::<Vec<_>>()),
        "Resource": one_or_many(&statement.resources),
    });
    if let Some(condition) = &statement.condition {
        value["Condition"] = match condition {
            Condition::Region(region) => json!({"StringEquals": {"aws:RequestedRegion": region}}),
            Condition::HeaderRules => json!({"StringLike": {HEADER_RULE_TAG: "*"}}),
            Condition::OwnTags => json!({
                "ForAllValues:StringLike": {"aws:TagKeys": "cutover.dev/*"},
                "Null": {"aws:TagKeys": "false"},
            }),
        };
    }
    value
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}

/// Returns the ClusterRole and the Roles of a cluster, each with a binding to a group.
pub fn cluster_objects(cluster: &ClusterGrants, group: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    for (namespace, rules) in roles(&cluster.grants) {
        let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
        let mut metadata = json!({"name": NAME});
        if let Some(namespace) = &namespace {
            metadata["namespace"] = json!(namespace);
        }
        let version = format!("{RBAC}/v1");
        let rules: Vec<_> = rules.iter().map(rule).collect();
        objects.push(json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules}));
        objects.push(json!({
            "apiVersion": version,
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": NAME},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
        }));
    }
    objects
}

/// A rule of a role: the same verbs on resources of one API group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub group: String,
    pub resources: BTreeSet<String>,
    /// The name of the only object.
    pub name: Option<String>,
    pub verbs: BTreeSet<String>,
}

/// Returns the rules by namespace, those of the whole cluster first. Resources of a group with the same verbs share a
/// rule.
pub(super) fn roles(grants: &BTreeSet<Grant>) -> BTreeMap<Option<String>, Vec<Rule>> {
    let mut verbs: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for grant in grants {
        let resource = (&grant.namespace, grant.group.as_str(), &grant.name, grant.resource.as_str());
        verbs.entry(resource).or_default().insert(grant.verb.clone());
    }
    let mut roles: BTreeMap<Option<String>, Vec<Rule>> = BTreeMap::new();
    for ((namespace, group, name, resource), verbs) in verbs {
        let rules = roles.entry(namespace.clone()).or_default();
        let same = |rule: &&mut Rule| rule.group == group && rule.name == *name && rule.verbs == verbs;
        if let Some(rule) = rules.iter_mut().find(same) {
            rule.resources.insert(resource.to_owned());
        } else {
            let resources = [resource.to_owned()].into();
            rules.push(Rule { group: group.to_owned(), resources, name: name.clone(), verbs });
        }
    }
    roles
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs});
    if let Some(name) = &rule.name {
        value["resourceNames"] = json!([name]);
    }
    value
}
