//! Represents TargetGroupBindings with the fields that this tool writes and compares.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::arn;
use crate::domain::elb::balancer::TargetGroup;
use crate::plan::model::{PortRef, TargetType, Workload};

/// The name of this tool as field manager in server-side apply.
pub const FIELD_MANAGER: &str = "cutover";

/// A TargetGroupBinding: the desired object, or an object that was found in a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The namespace of the binding.
    pub namespace: String,
    /// The name of the binding.
    pub name: String,
    /// The name of the Service.
    pub service: String,
    /// The port of the Service.
    pub port: PortRef,
    /// The ARN of the target group; may be empty in a found binding, which has the name of the group instead.
    pub target_group_arn: String,
    /// The target type, `ip` or `instance`; `None` if a found binding does not have the field.
    pub target_type: Option<TargetType>,
    /// All other fields of `spec`, as JSON.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// The labels (only of a found binding).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The annotations (only of a found binding).
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The time of creation (only of a found binding).
    pub created: Option<jiff::Timestamp>,
    /// The field managers of `spec`, from `metadata.managedFields` (only of a found binding).
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub managers: BTreeSet<String>,
    /// The UID and resource version (only of a found binding).
    #[serde(skip)]
    pub identity: Option<(String, String)>,
    /// The fields of `spec` whose values this build cannot interpret (only of a found binding).
    #[serde(skip)]
    pub unknown: Vec<&'static str>,
}

impl Binding {
    /// Returns the desired binding of a workload for a cluster's group; `None` if the workload has no Service in this
    /// cluster. The binding gets the name and the target type of the group. The immutable fields `ipAddressType` and
    /// `vpcID`, which otherwise get default values, are set to the values of the group, unless the plan sets them.
    pub fn for_group(workload: &Workload, cluster: &str, group: &TargetGroup) -> Option<Self> {
        // Only target groups of AWS have bindings.
        let service = workload.service(cluster).filter(|_| arn::begins(&group.arn))?;
        let mut extra = workload.binding.extra.clone();
        for (key, value) in [("ipAddressType", &group.ip_address_type), ("vpcID", &group.vpc_id)] {
            if !value.is_empty() && !extra.contains_key(key) {
                extra.insert(key.to_owned(), serde_json::Value::String(value.clone()));
            }
        }
        Some(Self {
            namespace: service.namespace.clone(),
            name: group.name.to_ascii_lowercase(),
            service: service.name.clone(),
            port: service.port.clone(),
            target_group_arn: group.arn.clone(),
            target_type: Some(TargetType::of(&group.target_type).unwrap_or(workload.binding.target_type)),
            extra,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            created: None,
            managers: BTreeSet::new(),
            identity: None,
            unknown: Vec::new(),
        })
    }

    /// Returns this desired binding without these fields of `spec`; `None` if `fields` is empty or a field cannot be
    /// omitted. A field can be omitted if the controller gets the same value from the target group: `vpcID`,
    /// `ipAddressType: ipv4` (the only type that a controller without this field supports), and a null value.
    pub fn without(&self, fields: &[String]) -> Option<Self> {
        let omissible = |field: &String| match (field.as_str(), self.extra.get(field)) {
            (_, Some(serde_json::Value::Null)) | ("vpcID", Some(_)) => true,
            ("ipAddressType", Some(kind)) => kind == "ipv4",
            _ => false,
        };
        let mut less = self.clone();
        less.extra.retain(|field, _| !fields.contains(field));
        (!fields.is_empty() && fields.iter().all(omissible)).then_some(less)
    }

    /// Returns the namespace and the name as `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether a found binding binds this group, by the ARN or the name of the group.
    pub fn binds(&self, group: &TargetGroup) -> bool {
        if self.target_group_arn.is_empty() {
            self.extra.get("targetGroupName").and_then(serde_json::Value::as_str) == Some(&group.name)
        } else {
            self.target_group_arn == group.arn
        }
    }

    /// Whether a found binding intentionally shares its group with other clusters.
    pub fn multi_cluster(&self) -> bool {
        self.extra.get("multiClusterTargetGroup").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// Describes how a found binding differs from this desired binding, such as `serviceRef.port 8080 instead of http`.
    /// If one of the bindings lacks a field, the field is not a difference. A field that this build cannot interpret is
    /// a difference.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut all: Vec<String> =
            found.unknown.iter().map(|field| format!("this build cannot interpret the field {field}")).collect();
        let mut differ = |field: &str, found: String, wanted: String| {
            if found != wanted {
                all.push(format!("{field} {found} instead of {wanted}"));
            }
        };
        differ("namespace", found.namespace.clone(), self.namespace.clone());
        differ("serviceRef.name", found.service.clone(), self.service.clone());
        differ("serviceRef.port", found.port.to_string(), self.port.to_string());
        if !found.target_group_arn.is_empty() {
            differ("targetGroupARN", found.target_group_arn.clone(), self.target_group_arn.clone());
        }
        if let (Some(there), Some(wanted)) = (found.target_type, self.target_type) {
            differ("targetType", there.name().to_owned(), wanted.name().to_owned());
        }
        for (key, wanted) in self.extra.iter().filter(|(_, wanted)| !wanted.is_null()) {
            if let Some(there) = found.extra.get(key) {
                differ(key, there.to_string(), wanted.to_string());
            }
        }
        all
    }

    /// Returns the GitOps tool that owns a found binding, by labels and annotations: Argo CD, Flux or Helm.
    pub fn gitops_owner(&self) -> Option<&'static str> {
        gitops_owner(&self.labels, &self.annotations)
    }

    /// Returns another owner or field manager of a found binding besides this tool; `None` if there is no other.
    pub fn other_manager(&self) -> Option<String> {
        if let Some(owner) = self.gitops_owner() {
            return Some(owner.to_owned());
        }
        if self.created_by_controller() {
            return Some("the load balancer controller".into());
        }
        let other = self.managers.iter().find(|manager| *manager != FIELD_MANAGER);
        other.cloned().or_else(|| self.managers.is_empty().then(|| "an unknown client".to_owned()))
    }

    /// Whether the load balancer controller created the binding for an Ingress or a Service.
    pub fn created_by_controller(&self) -> bool {
        self.labels.keys().any(|k| k.starts_with("ingress.k8s.aws/stack") || k.starts_with("service.k8s.aws/stack"))
    }
}

/// Returns the GitOps tool that tracks an object with these labels and annotations.
pub fn gitops_owner(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Option<&'static str> {
    let label = |key: &str| labels.contains_key(key);
    if annotations.contains_key("argocd.argoproj.io/tracking-id") {
        Some("Argo CD")
    } else if label("kustomize.toolkit.fluxcd.io/name") || label("helm.toolkit.fluxcd.io/name") {
        Some("Flux")
    } else if labels.get("app.kubernetes.io/managed-by").is_some_and(|v| v == "Helm")
        || annotations.keys().any(|k| k.starts_with("meta.helm.sh/release-"))
    {
        Some("Helm")
    } else if label("app.kubernetes.io/instance") {
        Some("Argo CD (by label app.kubernetes.io/instance)")
    } else {
        None
    }
}
