//! Validation of objects: unknown fields, the rules of the schema, and the controller's webhook for
//! TargetGroupBindings.

use serde_json::{Map, Value, json};

use super::failure::Failure;
use crate::lab::objects::{Kind, Objects, Resource, meta_text};

const WEBHOOK_NAME: &str = "vtargetgroupbinding.elbv2.k8s.aws";
/// Fields of a TargetGroupBinding's `spec`. `[]` is an item of a list; below `.*` all fields are valid.
const BINDING_FIELDS: [&str; 27] = [
    "serviceRef",
    "serviceRef.name",
    "serviceRef.port",
    "targetGroupARN",
    "targetGroupName",
    "multiClusterTargetGroup",
    "targetType",
    "targetGroupProtocol",
    "ipAddressType",
    "vpcID",
    "iamRoleArnToAssume",
    "assumeRoleExternalId",
    "nodeSelector",
    "nodeSelector.*",
    "networking",
    "networking.ingress",
    "networking.ingress[].from",
    "networking.ingress[].from[].ipBlock",
    "networking.ingress[].from[].ipBlock.cidr",
    "networking.ingress[].from[].securityGroup",
    "networking.ingress[].from[].securityGroup.groupID",
    "networking.ingress[].ports",
    "networking.ingress[].ports[].protocol",
    "networking.ingress[].ports[].port",
    "networking.ingress[]",
    "networking.ingress[].from[]",
    "networking.ingress[].ports[]",
];

/// Returns the fields of an object that its kind does not have. `older` are the fields of TargetGroupBinding's `spec`
/// that the CRD lacks.
pub fn unknown_fields(kind: Kind, object: &Value, older: &[String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    if kind == Kind::TargetGroupBinding {
        unknown_binding_fields(&object["spec"], "", &mut found);
        let lacking = older.iter().filter(|field| object["spec"].get(field.as_str()).is_some());
        found.extend(lacking.map(|field| format!("spec.{field}")));
        return Ok(found);
    }
    let known =
        round_trip(kind, object).map_err(|e| Failure::bad_request(format!("the object cannot be decoded: {e}")))?;
    missing_fields(object, &known, "", &mut found);
    Ok(found)
}

/// Returns what the schema rejects in a server-side apply: unknown fields, and values that are not strings. `older` has
/// the same meaning as in [`unknown_fields`].
pub fn schema_errors(kind: Kind, object: &Value, older: &[String]) -> Result<Vec<String>, Failure> {
    let unknown = unknown_fields(kind, object, older)?;
    let mut wrong: Vec<_> = unknown.iter().map(|field| format!(".{field}: field not declared in schema")).collect();
    if kind == Kind::TargetGroupBinding {
        for field in
            ["targetGroupARN", "targetGroupName", "targetGroupProtocol", "targetType", "ipAddressType", "vpcID"]
        {
            let given = &object["spec"][field];
            if !given.is_null() && !given.is_string() {
                wrong.push(format!(".spec.{field}: expected string, got {given}"));
            }
        }
    }
    Ok(wrong)
}

/// Checks that the name of an object is a DNS subdomain.
pub fn name(resource: &Resource, name: &str) -> Result<(), Failure> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let label = |l: &str| {
        let inner = l.chars().all(|c| c == '-' || edge(Some(c)));
        inner && edge(l.chars().next()) && edge(l.chars().last())
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Failure::invalid(
        resource,
        name,
        "metadata.name",
        &format!("Invalid value: \"{name}\": not a lowercase RFC 1123 subdomain"),
    ))
}

fn unknown_binding_fields(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !path.starts_with("nodeSelector.") => {
            for (name, child) in map {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let known = |f: &&str| **f == below || f.strip_suffix('*').is_some_and(|f| below.starts_with(f));
                if BINDING_FIELDS.iter().any(known) {
                    unknown_binding_fields(child, &below, found);
                } else {
                    found.push(format!("spec.{below}"));
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| unknown_binding_fields(item, &format!("{path}[]"), found)),
        _ => (),
    }
}

/// Adds the fields of `given` that are missing in `typed`, the typed form of the object, to `found`.
fn missing_fields(given: &Value, typed: &Value, path: &str, found: &mut Vec<String>) {
    match (given, typed) {
        (Value::Object(given), Value::Object(typed)) => {
            for (name, value) in given.iter().filter(|(_, v)| !v.is_null()) {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match typed.get(name) {
                    Some(typed) => missing_fields(value, typed, &below, found),
                    None if *value == json!({}) || *value == json!([]) => (),
                    None => found.push(below),
                }
            }
        }
        (Value::Array(given), Value::Array(typed)) => {
            for (at, (given, typed)) in given.iter().zip(typed).enumerate() {
                missing_fields(given, typed, &format!("{path}[{at}]"), found);
            }
        }
        _ => (),
    }
}

/// Converts an object to its typed form and back.
fn round_trip(kind: Kind, object: &Value) -> Result<Value, serde_json::Error> {
    use k8s_openapi::api::{
        admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
        coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery, networking::v1 as networking,
        policy::v1 as policy, scheduling::v1 as scheduling, storage::v1 as storage,
    };
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    fn pass<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
        serde_json::to_value(serde_json::from_value::<T>(object.clone())?)
    }
    match kind {
        Kind::Namespace => pass::<core::Namespace>(object),
        Kind::Node => pass::<core::Node>(object),
        Kind::Pod => pass::<core::Pod>(object),
        Kind::Service => pass::<core::Service>(object),
        Kind::Event => pass::<core::Event>(object),
        Kind::ConfigMap => pass::<core::ConfigMap>(object),
        Kind::Secret => pass::<core::Secret>(object),
        Kind::Deployment => pass::<apps::Deployment>(object),
        Kind::StatefulSet => pass::<apps::StatefulSet>(object),
        Kind::ReplicaSet => pass::<apps::ReplicaSet>(object),
        Kind::HorizontalPodAutoscaler => pass::<autoscaling::HorizontalPodAutoscaler>(object),
        Kind::Job => pass::<batch::Job>(object),
        Kind::EndpointSlice => pass::<discovery::EndpointSlice>(object),
        Kind::Lease => pass::<coordination::Lease>(object),
        Kind::DaemonSet => pass::<apps::DaemonSet>(object),
        Kind::CronJob => pass::<batch::CronJob>(object),
        Kind::ServiceAccount => pass::<core::ServiceAccount>(object),
        Kind::PersistentVolumeClaim => pass::<core::PersistentVolumeClaim>(object),
        Kind::PersistentVolume => pass::<core::PersistentVolume>(object),
        Kind::ResourceQuota => pass::<core::ResourceQuota>(object),
        Kind::LimitRange => pass::<core::LimitRange>(object),
        Kind::PodDisruptionBudget => pass::<policy::PodDisruptionBudget>(object),
        Kind::NetworkPolicy => pass::<networking::NetworkPolicy>(object),
        Kind::Ingress => pass::<networking::Ingress>(object),
        Kind::IngressClass => pass::<networking::IngressClass>(object),
        Kind::StorageClass => pass::<storage::StorageClass>(object),
        Kind::PriorityClass => pass::<scheduling::PriorityClass>(object),
        Kind::CustomResourceDefinition => pass::<CustomResourceDefinition>(object),
        Kind::MutatingWebhookConfiguration => pass::<admission::MutatingWebhookConfiguration>(object),
        Kind::ValidatingWebhookConfiguration => pass::<admission::ValidatingWebhookConfiguration>(object),
        Kind::TargetGroupBinding | Kind::ScaledObject => Ok(object.clone()),
    }
}

/// Removes fields that a TargetGroupBinding's schema does not have, as the API does without strict validation.
pub fn prune(kind: Kind, object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut).filter(|_| kind == Kind::TargetGroupBinding)
    else {
        return;
    };
    spec.retain(|name, _| BINDING_FIELDS.contains(&name.as_str()));
}

/// Checks an object against the schema and the webhook before it is stored.
pub fn admit(objects: &Objects, resource: &Resource, before: Option<&Value>, after: &Value) -> Result<(), Failure> {
    let spec = &after["spec"];
    let wrong = |field: &str, why: &str| Err(Failure::invalid(resource, meta_text(after, "name"), field, why));
    let lasts = spec["leaseDurationSeconds"].as_i64();
    if let Some(lasts) = lasts.filter(|n| resource.kind == Kind::Lease && *n <= 0) {
        return wrong("spec.leaseDurationSeconds", &format!("Invalid value: {lasts}: must be greater than 0"));
    }
    if resource.kind != Kind::TargetGroupBinding {
        return Ok(());
    }
    if spec["serviceRef"]["name"].as_str().is_none_or(str::is_empty) {
        return wrong("spec.serviceRef.name", "Required value");
    }
    if !(spec["serviceRef"]["port"].is_u64() || spec["serviceRef"]["port"].is_string()) {
        return wrong("spec.serviceRef.port", "Required value");
    }
    if let Some(other) = spec["targetType"].as_str().filter(|t| !matches!(*t, "ip" | "instance")) {
        return wrong(
            "spec.targetType",
            &format!("Unsupported value: \"{other}\": supported values: \"instance\", \"ip\""),
        );
    }
    if spec["targetGroupARN"].as_str().or(spec["targetGroupName"].as_str()).is_none_or(str::is_empty) {
        return Err(Failure::denied(
            WEBHOOK_NAME,
            "TargetGroupBinding must specify either TargetGroupARN or TargetGroupName",
        ));
    }
    let is_deleted = before.is_some_and(|b| b["metadata"]["deletionTimestamp"].is_string());
    if let Some(before) = before.filter(|_| !is_deleted) {
        check_immutable_fields(&before["spec"], spec)?;
    }
    if spec["targetType"] == "ip" && !spec["nodeSelector"].is_null() {
        return Err(Failure::denied(WEBHOOK_NAME, "TargetGroupBinding cannot set NodeSelector when TargetType is ip"));
    }
    check_one_binding_per_group(objects, after)
}

/// The annotation of a webhook that refuses new objects of a resource, such as `deployments`.
pub(in crate::lab) const REFUSES: &str = "lab.cutover.dev/refuses";

/// Refuses a new object if the policy of the cluster forbids the resource.
pub fn refuse_by_policy(objects: &Objects, resource: &Resource) -> Result<(), Failure> {
    let refuses = |webhook: &Value| webhook["metadata"]["annotations"][REFUSES] == resource.plural;
    match objects.list(Kind::ValidatingWebhookConfiguration, None).find(refuses) {
        Some(webhook) => Err(Failure::denied(meta_text(&webhook, "name"), "the policy of the cluster forbids it")),
        None => Ok(()),
    }
}

fn check_immutable_fields(before: &Value, after: &Value) -> Result<(), Failure> {
    let fields = ["targetGroupARN", "targetType", "ipAddressType", "vpcID"];
    let changed: Vec<_> = fields
        .iter()
        .filter(|f| !before[**f].is_null() && before[**f] != after[**f])
        .map(|f| format!("spec.{f}"))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::denied(
        WEBHOOK_NAME,
        &format!("TargetGroupBinding update may not change these immutable fields: {}", changed.join(",")),
    ))
}

fn check_one_binding_per_group(objects: &Objects, after: &Value) -> Result<(), Failure> {
    let group = |v: &Value| v["spec"]["targetGroupARN"].as_str().map(str::to_owned);
    let shared = |v: &Value| v["spec"]["multiClusterTargetGroup"] == true;
    let namespaced_name = |v: &Value| (meta_text(v, "namespace").to_owned(), meta_text(v, "name").to_owned());
    let Some(arn) = group(after) else { return Ok(()) };
    let others = objects.containing(Kind::TargetGroupBinding, &arn);
    let others: Vec<_> =
        others.filter(|o| group(o).as_ref() == Some(&arn) && namespaced_name(o) != namespaced_name(after)).collect();
    if others.is_empty() || (shared(after) && others.iter().all(shared)) {
        return Ok(());
    }
    let named: Vec<_> =
        others.iter().map(|o| format!("{}/{}", meta_text(o, "namespace"), meta_text(o, "name"))).collect();
    let why = format!(
        "TargetGroup {arn} is already bound to following TargetGroupBindings [{}]. \
         Please enable MultiCluster mode on all TargetGroupBindings \
         referencing {arn} or choose a different Target Group ARN.",
        named.join(" ")
    );
    Err(Failure::denied(WEBHOOK_NAME, &why))
}

/// Sets the default values of an object.
pub fn set_defaults(kind: Kind, object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet => drop(spec.entry("replicas").or_insert(1.into())),
        Kind::HorizontalPodAutoscaler => drop(spec.entry("minReplicas").or_insert(1.into())),
        Kind::Service => {
            spec.entry("type").or_insert("ClusterIP".into());
            let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
            ports.filter_map(Value::as_object_mut).for_each(set_port_defaults);
        }
        // The controller's webhook sets the same value; all target groups of a lab are IPv4.
        Kind::TargetGroupBinding => drop(spec.entry("ipAddressType").or_insert("ipv4".into())),
        _ => (),
    }
}

fn set_port_defaults(port: &mut Map<String, Value>) {
    port.entry("protocol").or_insert("TCP".into());
    let number = port.get("port").cloned().unwrap_or_default();
    port.entry("targetPort").or_insert(number);
}
