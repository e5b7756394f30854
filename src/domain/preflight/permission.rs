//! Explains refusals of AWS and Kubernetes that name a missing permission: adds what to grant, and where the complete
//! list of permissions is.

/// Returns the text of the refusal. If the text names a missing permission, adds what to grant.
pub fn explain_refusal(refusal: &str) -> String {
    match missing_permission(refusal) {
        Some(add) => format!("{refusal}; add {add}"),
        None => refusal.to_owned(),
    }
}

fn missing_permission(refusal: &str) -> Option<String> {
    kubernetes_permission(refusal).or_else(|| aws_permission(refusal))
}

/// Parses a refusal like `User "x" cannot list resource "pods" in API group "" in the namespace "shop"` or `... at the
/// cluster scope`.
fn kubernetes_permission(refusal: &str) -> Option<String> {
    let (verb, rest) = refusal.split_once(" cannot ")?.1.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let resource_name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let place = match rest.split_once("in the namespace \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((namespace, _)) => format!("a Role in namespace {namespace}"),
        None => "a ClusterRole".to_owned(),
    };
    Some(format!("the verb `{verb}` on `{resource_name}` to {place} (examples/role.yaml has all of them)"))
}

/// Parses a refusal like `User: arn:... is not authorized to perform: SERVICE:ACTION on resource: ...`.
fn aws_permission(refusal: &str) -> Option<String> {
    let action = refusal
        .split_once("not authorized to perform: ")?
        .1
        .split_whitespace()
        .next()?
        .trim_end_matches(['.', ',', ';']);
    action
        .contains(':')
        .then(|| format!("the action `{action}` to the caller's policy (examples/iam-policy.json has all of them)"))
}

#[cfg(test)]
mod tests {
    use super::explain_refusal;

    #[test]
    fn missing_permission_is_explained() {
        for (refusal, add) in [
            (
                r#"pods is forbidden: User "ci" cannot list resource "pods" in API group "" in the namespace "shop""#,
                "the verb `list` on `pods` to a Role in namespace shop",
            ),
            (
                r#"targetgroupbindings.elbv2.k8s.aws is forbidden: User "ci" cannot list resource "targetgroupbindings" in API group "elbv2.k8s.aws" at the cluster scope"#,
                "the verb `list` on `targetgroupbindings.elbv2.k8s.aws` to a ClusterRole",
            ),
            (
                "AccessDenied: User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                 elasticloadbalancing:ModifyRule on resource: arn:x because no identity-based policy allows it",
                "the action `elasticloadbalancing:ModifyRule` to the caller's policy",
            ),
        ] {
            let explained = explain_refusal(refusal);
            assert!(explained.starts_with(refusal) && explained.contains(&format!("; add {add} ")), "{explained}");
        }
        for other in
            ["why", "admission webhook \"v\" denied the request: it cannot be", "not authorized to perform: this"]
        {
            assert_eq!(explain_refusal(other), other);
        }
    }
}
