//! The permissions as Terraform configuration: a policy of the `aws` provider, and roles of the `kubernetes` provider
//! with an alias for each cluster.

use std::fmt::Write;

use super::objects::{HEADER_RULE_TAG, Rule, roles};
use crate::domain::view::permissions::{ClusterGrants, Condition, Permissions, Statement};

/// Returns the configuration. `plan` is the name of the plan.
pub fn terraform(permissions: &Permissions, plan: &str, group: &str) -> String {
    let mut out = String::new();
    if !permissions.aws.is_empty() {
        put(&mut out, "data \"aws_iam_policy_document\" \"cutover\" {");
        for one in &permissions.aws {
            statement(one, &mut out);
        }
        put(&mut out, "}\n");
        put(&mut out, "resource \"aws_iam_policy\" \"cutover\" {");
        put(&mut out, &format!("  name   = {}", text(&format!("cutover-{plan}"))));
        put(&mut out, "  policy = data.aws_iam_policy_document.cutover.json\n}\n");
    }
    for one in &permissions.clusters {
        cluster(one, group, &mut out);
    }
    out
}

fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

/// Returns a text as a string of Terraform. The texts of permissions contain no templates.
fn text(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{"))
}

fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", values.into_iter().map(text).collect::<Vec<_>>().join(", "))
}

fn statement(statement: &Statement, out: &mut String) {
    put(out, "  statement {");
    put(out, &format!("    sid       = {}", text(statement.sid)));
    put(out, &format!("    actions   = {}", list(statement.actions.iter().copied())));
    put(out, &format!("    resources = {}", list(statement.resources.iter().map(String::as_str))));
    let conditions = match &statement.condition {
        None => Vec::new(),
        Some(Condition::Region(region)) => vec![("StringEquals", "aws:RequestedRegion", region.as_str())],
        Some(Condition::HeaderRules) => vec![("StringLike", HEADER_RULE_TAG, "*")],
        Some(Condition::OwnTags) => {
            vec![("ForAllValues:StringLike", "aws:TagKeys", "cutover.dev/*"), ("Null", "aws:TagKeys", "false")]
        }
    };
    for (test, variable, value) in conditions {
        put(out, "    condition {");
        put(out, &format!("      test     = {}", text(test)));
        put(out, &format!("      variable = {}", text(variable)));
        put(out, &format!("      values   = {}\n    }}", list([value])));
    }
    put(out, "  }");
}

fn cluster(cluster: &ClusterGrants, group: &str, out: &mut String) {
    let alias = identifier(&cluster.name);
    for (namespace, rules) in roles(&cluster.grants) {
        let kind = if namespace.is_some() { "role" } else { "cluster_role" };
        let place = namespace.as_ref().map_or_else(|| "cluster".to_owned(), |namespace| identifier(namespace));
        let label = format!("cutover_{alias}_{place}");
        let metadata = |out: &mut String| {
            put(out, &format!("  provider = kubernetes.{alias}\n  metadata {{"));
            put(out, "    name = \"cutover\"");
            if let Some(namespace) = &namespace {
                put(out, &format!("    namespace = {}", text(namespace)));
            }
            put(out, "  }");
        };
        put(out, &format!("resource \"kubernetes_{kind}_v1\" \"{label}\" {{"));
        metadata(out);
        for one in rules {
            rule(&one, out);
        }
        put(out, "}\n");
        put(out, &format!("resource \"kubernetes_{kind}_binding_v1\" \"{label}\" {{"));
        metadata(out);
        let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
        put(out, "  role_ref {\n    api_group = \"rbac.authorization.k8s.io\"");
        put(out, &format!("    kind      = \"{role}\"\n    name      = \"cutover\"\n  }}"));
        put(out, "  subject {\n    api_group = \"rbac.authorization.k8s.io\"\n    kind      = \"Group\"");
        put(out, &format!("    name      = {}\n  }}\n}}\n", text(group)));
    }
}

fn rule(rule: &Rule, out: &mut String) {
    put(out, "  rule {");
    put(out, &format!("    api_groups = {}", list([rule.group.as_str()])));
    put(out, &format!("    resources  = {}", list(rule.resources.iter().map(String::as_str))));
    if let Some(name) = &rule.name {
        put(out, &format!("    resource_names = {}", list([name.as_str()])));
    }
    put(out, &format!("    verbs      = {}\n  }}", list(rule.verbs.iter().map(String::as_str))));
}

/// Returns a name as an identifier of Terraform.
fn identifier(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}
