//! Renders the permissions of a plan: the IAM policy and the Kubernetes objects as values, and these as JSON, YAML or
//! Terraform.

mod objects;
mod terraform;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use objects::{cluster_objects, policy};
pub use terraform::terraform;

use crate::domain::view::permissions::Permissions;
use crate::plan::model::ClusterAccess;

/// Returns everything as one JSON value: `aws` has the policy, and `clusters` the objects of each cluster.
pub fn json(permissions: &Permissions, group: &str) -> Value {
    let clusters = permissions.clusters.iter();
    let clusters: Map<_, _> =
        clusters.map(|cluster| (cluster.name.clone(), list(&cluster_objects(cluster, group)))).collect();
    let aws = if permissions.aws.is_empty() { Value::Null } else { policy(&permissions.aws) };
    json!({"aws": aws, "clusters": clusters})
}

/// Returns objects as one object that `kubectl apply` accepts.
pub fn list(objects: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// Returns objects as documents of YAML.
pub fn documents(objects: &[Value]) -> String {
    let documents = objects.iter().map(|object| serde_yaml::to_string(object).unwrap_or_default());
    documents.collect::<Vec<_>>().join("---\n")
}

/// Returns everything as documents of YAML, with the command that prints each part alone.
pub fn yaml(permissions: &Permissions, file: &str, group: &str) -> String {
    let mut parts = Vec::new();
    if !permissions.aws.is_empty() {
        parts.push(format!(
            "# The IAM policy. As JSON: cutover permissions {file} --part aws --format json\n{}",
            documents(&[policy(&permissions.aws)])
        ));
    }
    for cluster in &permissions.clusters {
        let (name, access) = (&cluster.name, access_text(&cluster.access));
        parts.push(format!(
            "# Cluster {name} ({access}). To apply: cutover permissions {file} --part {name} | kubectl apply -f -\n\
             # With EKS Auto Mode (note CUT078), the API group of targetgroupbindings is eks.amazonaws.com.\n{}",
            documents(&cluster_objects(cluster, group))
        ));
    }
    parts.join("---\n")
}

fn access_text(access: &ClusterAccess) -> String {
    match access {
        ClusterAccess::Eks(name) => format!("EKS cluster {name}"),
        ClusterAccess::KubeContext(context) => format!("context {context}"),
        ClusterAccess::None => "no access".to_owned(),
    }
}
