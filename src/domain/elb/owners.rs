//! Finds the other tools that manage a resource, by the tags of the resource.

use crate::domain::traffic::{ExternalOwner, OwnerTool, Tags};

/// The keys of tags that the AWS Load Balancer Controller and EKS write on their resources. A key that ends in `/` is a
/// prefix.
const CONTROLLER_TAG_KEYS: [&str; 9] = [
    "elbv2.k8s.aws/cluster",
    "eks:eks-cluster-name",
    "ingress.k8s.aws/",
    "service.k8s.aws/",
    "gateway.k8s.aws.alb/",
    "gateway.k8s.aws.nlb/",
    "gateway.k8s.aws/",
    "service.eks.amazonaws.com/",
    "ingress.eks.amazonaws.com/",
];

/// Returns all owners that the tags of a resource name. The owner that most likely overwrites changes comes first.
pub fn owners_from_tags(tags: &Tags) -> Vec<ExternalOwner> {
    let all = [
        (OwnerTool::Controller, controller(tags)),
        (OwnerTool::Terraform, terraform(tags)),
        (OwnerTool::CloudFormation, cloudformation(tags)),
    ];
    all.into_iter().filter_map(|(tool, tag)| Some(ExternalOwner { tool, tag: tag? })).collect()
}

/// Returns the tag of a controller as `key=value`, if the resource has one.
fn controller(tags: &Tags) -> Option<String> {
    let marks =
        |key: &str| CONTROLLER_TAG_KEYS.iter().any(|c| if c.ends_with('/') { key.starts_with(c) } else { key == *c });
    tags.iter().find(|(key, _)| marks(key)).map(|(key, value)| format!("{key}={value}"))
}

/// Returns a tag that names Terraform as `key=value`, if any. Terraform sets no tags by itself, but teams commonly do.
fn terraform(tags: &Tags) -> Option<String> {
    let says = |text: &str| ["terraform", "opentofu", "terragrunt"].iter().any(|t| text.to_lowercase().contains(t));
    let found = tags.iter().find(|(key, value)| {
        (says(key) && !value.eq_ignore_ascii_case("false"))
            || (says(value) && !key.starts_with("aws:") && *key != "Name")
    });
    found.map(|(key, value)| format!("{key}={value}"))
}

fn cloudformation(tags: &Tags) -> Option<String> {
    tags.get("aws:cloudformation:stack-name").map(|stack| format!("aws:cloudformation:stack-name={stack}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(key: &str, value: &str) -> Tags {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn terraform_is_recognized_by_common_tags() {
        for (key, value) in [
            ("terraform", "true"),
            ("managed-by", "OpenTofu"),
            ("iac", "terraform/edge"),
            ("TerraformWorkspace", "prod"),
        ] {
            assert!(terraform(&tags(key, value)).is_some(), "{key}={value}");
        }
        for (key, value) in [("Terraform", "false"), ("Name", "terraform-demo"), ("team", "edge")] {
            assert_eq!(terraform(&tags(key, value)), None, "{key}={value}");
        }
    }

    #[test]
    fn controller_is_recognized_by_the_key_or_its_prefix() {
        let found = |key| owners_from_tags(&tags(key, "x")).first().map(|o| o.tool);
        assert_eq!(found("ingress.k8s.aws/stack"), Some(OwnerTool::Controller));
        assert_eq!(found("elbv2.k8s.aws/cluster"), Some(OwnerTool::Controller));
        assert_eq!(found("service.k8s.aws/resource"), Some(OwnerTool::Controller));
        assert_eq!(found("gateway.k8s.aws.nlb/stack"), Some(OwnerTool::Controller));
        assert_eq!(found("elbv2.k8s.aws/cluster-of-old"), None);
        assert_eq!(found("aws:cloudformation:stack-name"), Some(OwnerTool::CloudFormation));
    }
}
