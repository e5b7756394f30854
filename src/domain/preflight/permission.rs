//! Explains a refusal: AWS and Kubernetes name the missing permission, and this adds what to grant, and where the
//! complete list is.

/// Returns the text of the refusal, followed by what to grant, if it names the missing permission.
pub fn explain_refusal(refusal: &str) -> String {
    match missing(refusal) {
        Some(add) => format!("{refusal}; add {add}"),
        None => refusal.to_owned(),
    }
}

fn missing(refusal: &str) -> Option<String> {
    kubernetes(refusal).or_else(|| aws(refusal))
}

/// `User "x" cannot list resource "pods" in API group "" in the namespace "shop"`, or `... at the cluster scope`.
fn kubernetes(refusal: &str) -> Option<String> {
    let (verb, rest) = refusal.split_once(" cannot ")?.1.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let whole = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let place = match rest.split_once("in the namespace \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((namespace, _)) => format!("a Role in namespace {namespace}"),
        None => "a ClusterRole".to_owned(),
    };
    Some(format!("the verb `{verb}` on `{whole}` to {place} (examples/role.yaml has all of them)"))
}

/// `User: arn:... is not authorized to perform: SERVICE:ACTION on resource: ...`.
fn aws(refusal: &str) -> Option<String> {
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
    fn what_is_missing_is_said_in_the_words_of_who_grants_it() {
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
            let said = explain_refusal(refusal);
            assert!(said.starts_with(refusal) && said.contains(&format!("; add {add} ")), "{said}");
        }
        for other in
            ["why", "admission webhook \"v\" denied the request: it cannot be", "not authorized to perform: this"]
        {
            assert_eq!(explain_refusal(other), other);
        }
    }
}
