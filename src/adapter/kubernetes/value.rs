//! Converts objects of the Kubernetes API to values of the domain, and TargetGroupBindings back. Do not read or write
//! here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::domain::kubernetes::binding::{Binding, gitops_owner};
use crate::domain::kubernetes::workload::{Hpa, Pod, PodOwner, Service};
use crate::plan::model::{PortRef, TargetType};

/// A Deployment or StatefulSet with the identifiers that relate it to pods.
#[derive(Debug)]
pub struct OwnerObject {
    /// The UID of the object.
    pub uid: String,
    /// The labels of the pods.
    pub template_labels: BTreeMap<String, String>,
    /// The domain value of the object.
    pub owner: PodOwner,
}

/// Returns the UIDs of the owners of an object.
pub fn owner_uids(object: &impl ResourceExt) -> Vec<String> {
    object.owner_references().iter().map(|o| o.uid.clone()).collect()
}

/// Returns whether a selector matches these labels. An empty selector matches nothing.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// Converts a Service.
pub fn service(service: &core::Service) -> Service {
    let spec = service.spec.clone().unwrap_or_default();
    let ports = spec.ports.unwrap_or_default().into_iter();
    Service {
        name: service.name_any(),
        kind: spec.type_,
        ports: ports.filter_map(|p| u16::try_from(p.port).ok().map(|port| (p.name, port))).collect(),
        selector: spec.selector.unwrap_or_default(),
    }
}

/// Converts a pod.
pub fn pod(pod: &core::Pod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let gates = pod.spec.iter().flat_map(|s| s.readiness_gates.iter().flatten());
    Pod {
        name: pod.name_any(),
        ip: status.pod_ip.filter(|ip| !ip.is_empty()),
        ready: status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True"),
        readiness_gates: gates.map(|g| g.condition_type.clone()).collect(),
        created: created(pod),
        restarts: status.container_statuses.iter().flatten().map(|c| number(Some(c.restart_count), 0)).sum(),
        restarted: status.container_statuses.iter().flatten().filter_map(restart_time).max(),
    }
}

/// Returns when a restarted container was last started.
fn restart_time(status: &core::ContainerStatus) -> Option<Timestamp> {
    let ended = || Some(status.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0);
    if status.restart_count > 0 { ended() } else { None }
}

fn created(object: &impl ResourceExt) -> Option<Timestamp> {
    object.creation_timestamp().map(|t| t.0)
}

/// Converts a Deployment.
pub fn deployment(deployment: &Deployment) -> OwnerObject {
    let replicas = deployment.spec.as_ref().and_then(|s| s.replicas);
    let status = deployment.status.as_ref();
    let seen = status.and_then(|s| s.observed_generation) == deployment.metadata.generation;
    let updated = status.filter(|_| seen).and_then(|s| s.updated_replicas);
    let template = deployment.spec.as_ref().map(|s| &s.template);
    owned("Deployment", deployment, replicas, (status.and_then(|s| s.ready_replicas), updated), template)
}

/// Converts a StatefulSet.
pub fn stateful_set(set: &StatefulSet) -> OwnerObject {
    let replicas = set.spec.as_ref().and_then(|s| s.replicas);
    let status = set.status.as_ref();
    let seen = status.and_then(|s| s.observed_generation) == set.metadata.generation;
    let updated = status.filter(|_| seen).and_then(|s| s.updated_replicas);
    owned(
        "StatefulSet",
        set,
        replicas,
        (status.and_then(|s| s.ready_replicas), updated),
        set.spec.as_ref().map(|s| &s.template),
    )
}

fn owned(
    kind: &str,
    object: &impl ResourceExt,
    replicas: Option<i32>,
    (ready, updated): (Option<i32>, Option<i32>),
    template: Option<&core::PodTemplateSpec>,
) -> OwnerObject {
    let template_labels = template.and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone()).unwrap_or_default();
    let owner = PodOwner {
        kind: kind.to_owned(),
        name: object.name_any(),
        replicas: number(replicas, 1),
        ready: number(ready, 0),
        updated: updated.map(|n| number(Some(n), 0)),
        managed_by: gitops_owner(object.labels(), object.annotations()).map(str::to_owned),
    };
    OwnerObject { uid: object.uid().unwrap_or_default(), template_labels, owner }
}

fn number(value: Option<i32>, missing: u32) -> u32 {
    value.map_or(missing, |v| u32::try_from(v).unwrap_or(0))
}

/// Converts a HorizontalPodAutoscaler.
pub fn hpa(hpa: &HorizontalPodAutoscaler) -> Hpa {
    let (spec, status) = (hpa.spec.as_ref(), hpa.status.as_ref());
    Hpa {
        name: hpa.name_any(),
        target: spec.map(|s| format!("{}/{}", s.scale_target_ref.kind, s.scale_target_ref.name)).unwrap_or_default(),
        min: number(spec.and_then(|s| s.min_replicas), 1),
        max: number(spec.map(|s| s.max_replicas), 0),
        current: number(status.and_then(|s| s.current_replicas), 0),
        desired: number(status.map(|s| s.desired_replicas), 0),
    }
}

/// Converts a TargetGroupBinding. Fields with values that this build does not know are listed in the result, so that
/// one TargetGroupBinding does not hide all others.
pub fn binding(object: DynamicObject) -> Binding {
    let mut unknown = Vec::new();
    let mut extra: Map<String, Value> = object.data["spec"].as_object().cloned().unwrap_or_default();
    let reference = extra.shift_remove("serviceRef").unwrap_or_default();
    let service = reference["name"].as_str().map(str::to_owned);
    let port = serde_json::from_value::<PortRef>(reference["port"].clone()).ok();
    let target_type = match extra.shift_remove("targetType") {
        None | Some(Value::Null) => None,
        Some(word) => {
            let known = serde_json::from_value::<TargetType>(word).ok();
            unknown.extend(known.is_none().then_some("targetType"));
            known
        }
    };
    unknown.extend(service.is_none().then_some("serviceRef.name"));
    unknown.extend(port.is_none().then_some("serviceRef.port"));
    let arn = extra.shift_remove("targetGroupARN");
    Binding {
        service: service.unwrap_or_default(),
        port: port.unwrap_or(PortRef::Name(String::new())),
        target_group_arn: arn.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
        target_type,
        extra,
        labels: object.labels().clone(),
        annotations: object.annotations().clone(),
        created: created(&object),
        managers: managers(&object),
        identity: object.uid().zip(object.resource_version()),
        unknown,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// Returns the managers of fields of the spec.
fn managers(object: &DynamicObject) -> BTreeSet<String> {
    let of_spec =
        object.managed_fields().iter().filter(|f| f.fields_v1.as_ref().is_some_and(|v| v.0.get("f:spec").is_some()));
    of_spec.map(|f| f.manager.clone().unwrap_or_else(|| "somebody".to_owned())).collect()
}

/// Builds the object to apply, which has only the spec. Labels, annotations and finalizers belong to others.
pub fn apply_body(binding: &Binding, api_version: &str) -> Value {
    let mut spec = binding.extra.clone();
    spec.insert("serviceRef".into(), json!({"name": binding.service, "port": binding.port}));
    if !binding.target_group_arn.is_empty() {
        spec.insert("targetGroupARN".into(), binding.target_group_arn.as_str().into());
    }
    if let Some(target_type) = binding.target_type {
        spec.insert("targetType".into(), json!(target_type));
    }
    let metadata = json!({"name": binding.name, "namespace": binding.namespace});
    json!({"apiVersion": api_version, "kind": "TargetGroupBinding", "metadata": metadata, "spec": spec})
}
