//! Implements [`ClusterItems`]: CronJobs by `spec.suspend`, workers by `spec.replicas`, objects of KEDA by their
//! annotations. Each write is one merge patch with the resourceVersion that was read, so that the API server refuses it
//! with status 409 if the object has changed. Do not add decisions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, K8s, error, list, read, timeout_text, with_deadline};
use crate::domain::hand_over::{Claim, ItemId, ItemKind, ItemReading, Timetable};
use crate::domain::traffic::Unreadable;
use crate::port::{ClusterItems, ItemWrite, WriteError};

/// The annotation with the mark of a run.
pub const ANNOTATION: &str = "cutover.dev/handover";
/// The annotation of KEDA that stops scaling. The pods stay as they are.
const PAUSED: &str = "autoscaling.keda.sh/paused";
/// The annotation of KEDA that stops scaling at a number of pods
/// (<https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling>).
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

fn api_resource(kind: ItemKind) -> ApiResource {
    let (group, version, plural) = match kind {
        ItemKind::CronJob => ("batch", "v1", "cronjobs"),
        ItemKind::Deployment => ("apps", "v1", "deployments"),
        ItemKind::StatefulSet => ("apps", "v1", "statefulsets"),
        ItemKind::ScaledObject => ("keda.sh", "v1alpha1", "scaledobjects"),
        ItemKind::ScaledJob => ("keda.sh", "v1alpha1", "scaledjobs"),
    };
    resource(group, version, kind.name(), plural)
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

impl K8s {
    fn objects_of(&self, kind: ItemKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), namespace, &api_resource(kind))
    }

    /// Returns the number of Jobs that an object has started and that have not ended.
    async fn running_jobs(&self, namespace: &str, owner: &str) -> Result<u32, Unreadable> {
        let jobs: Api<DynamicObject> =
            Api::namespaced_with(self.client(), namespace, &resource("batch", "v1", "Job", "jobs"));
        let running = |job: DynamicObject| {
            let owned = job.owner_references().iter().any(|reference| reference.uid == owner);
            (owned && !has_ended(&job)).then_some(())
        };
        Ok(number(list(&jobs, "", running).await?.len()))
    }

    /// Returns the number of pods with these labels that have not ended, terminating ones included.
    async fn running_pods(&self, namespace: &str, labels: &str) -> Result<u32, Unreadable> {
        // An empty selector would select every pod.
        if labels.is_empty() {
            return Ok(0);
        }
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let running = |pod: Pod| {
            let phase = pod.status.and_then(|status| status.phase);
            (!matches!(phase.as_deref(), Some("Succeeded" | "Failed"))).then_some(())
        };
        Ok(number(list(&pods, labels, running).await?.len()))
    }

    /// Returns the labels of the pods that a ScaledObject scales, and the number of these pods that are wanted.
    async fn scaled(&self, object: &DynamicObject) -> Result<(String, u32), Unreadable> {
        let target = &object.data["spec"]["scaleTargetRef"];
        let kind = match target["kind"].as_str() {
            None | Some("Deployment") => ItemKind::Deployment,
            Some("StatefulSet") => ItemKind::StatefulSet,
            Some(other) => {
                return Err(Unreadable::Unrepresentable(format!("it scales a {other}, whose pods are not known")));
            }
        };
        let namespace = object.namespace().unwrap_or_default();
        let scaled = read(self.objects_of(kind, &namespace).get(target["name"].as_str().unwrap_or_default())).await?;
        Ok((labels_of(&scaled.data["spec"]["selector"])?, replicas(&scaled)))
    }

    async fn patch(
        &self,
        item: &ItemId,
        body: &Value,
        subresource: Option<&str>,
    ) -> Result<Option<String>, WriteError> {
        let objects = self.objects_of(item.kind, &item.namespace);
        let (params, patch) = (
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() },
            Patch::Merge(body),
        );
        let answer = match subresource {
            Some(part) => with_deadline(objects.patch_subresource(part, &item.name, &params, &patch)).await,
            None => with_deadline(objects.patch(&item.name, &params, &patch)).await,
        };
        match answer {
            Some(Ok(object)) => Ok(Some(object.resource_version().unwrap_or_default())),
            Some(Err(kube::Error::Api(status))) if status.code == 409 => Ok(None),
            Some(Err(why)) => Err(error::write(&why)),
            None => Err(WriteError::Unanswered(timeout_text("patch"))),
        }
    }
}

#[async_trait]
impl ClusterItems for K8s {
    async fn uid(&self) -> Result<String, Unreadable> {
        let system = read(Api::<Namespace>::all(self.client()).get("kube-system")).await?;
        system.uid().ok_or_else(|| Unreadable::Unavailable("namespace kube-system has no UID".to_owned()))
    }

    async fn select(&self, kind: ItemKind, namespace: &str, labels: &str) -> Result<Vec<String>, Unreadable> {
        list(&self.objects_of(kind, namespace), labels, |object| Some(object.name_any())).await
    }

    async fn read(&self, item: &ItemId) -> Result<ItemReading, Unreadable> {
        let object = read(self.objects_of(item.kind, &item.namespace).get(&item.name)).await?;
        let annotation = |name: &str| object.annotations().get(name).map(String::as_str);
        let uid = object.uid().unwrap_or_default();
        let (wanted, running) = match item.kind {
            ItemKind::CronJob => {
                let on = object.data["spec"]["suspend"] != true;
                (u32::from(on), self.running_jobs(&item.namespace, &uid).await?)
            }
            ItemKind::Deployment | ItemKind::StatefulSet => {
                let labels = labels_of(&object.data["spec"]["selector"])?;
                (replicas(&object), self.running_pods(&item.namespace, &labels).await?)
            }
            ItemKind::ScaledObject => {
                let (labels, pods) = self.scaled(&object).await?;
                let off = annotation(PAUSED_REPLICAS) == Some("0")
                    || (annotation(PAUSED).is_some_and(|paused| paused != "false") && pods == 0);
                (u32::from(!off), self.running_pods(&item.namespace, &labels).await?)
            }
            ItemKind::ScaledJob => {
                let off = annotation(PAUSED).is_some_and(|paused| paused != "false");
                (u32::from(!off), self.running_jobs(&item.namespace, &uid).await?)
            }
        };
        Ok(ItemReading {
            wanted,
            running,
            version: object.resource_version().unwrap_or_default(),
            claim: annotation(ANNOTATION).and_then(|text| serde_json::from_str(text).ok()),
            timetable: (item.kind == ItemKind::CronJob).then(|| timetable(&object)),
            owner: owner(object.labels(), object.annotations()),
        })
    }

    async fn write(&self, item: &ItemId, write: &ItemWrite) -> Result<bool, WriteError> {
        let mut version = write.version.clone();
        if let Some(last) = write.last_schedule {
            let last = last.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let body = json!({"metadata": {"resourceVersion": version}, "status": {"lastScheduleTime": last}});
            let Some(next) = self.patch(item, &body, Some("status")).await? else { return Ok(false) };
            version = next;
        }
        let mut body =
            json!({"metadata": {"resourceVersion": version, "annotations": {ANNOTATION: mark(&write.claim)}}});
        let annotations = &mut body["metadata"]["annotations"];
        match item.kind {
            ItemKind::CronJob => body["spec"] = json!({"suspend": write.set == 0}),
            ItemKind::Deployment | ItemKind::StatefulSet => body["spec"] = json!({"replicas": write.set}),
            ItemKind::ScaledObject if write.set == 0 => annotations[PAUSED_REPLICAS] = "0".into(),
            ItemKind::ScaledJob if write.set == 0 => annotations[PAUSED] = "true".into(),
            ItemKind::ScaledObject | ItemKind::ScaledJob => {
                (annotations[PAUSED_REPLICAS], annotations[PAUSED]) = (Value::Null, Value::Null);
            }
        }
        Ok(self.patch(item, &body, None).await?.is_some())
    }

    async fn may_set_last_schedule(&self, item: &ItemId) -> Result<bool, Unreadable> {
        let objects = self.objects_of(item.kind, &item.namespace);
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let patch = Patch::Merge(json!({"status": {}}));
        match read(objects.patch_subresource("status", &item.name, &params, &patch)).await {
            Ok(_) => Ok(true),
            Err(Unreadable::Denied(_)) => Ok(false),
            Err(why) => Err(why),
        }
    }
}

fn mark(claim: &Claim) -> Value {
    serde_json::to_string(claim).unwrap_or_default().into()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns the replicas of a Deployment or StatefulSet; 1 is the default of the API.
fn replicas(object: &DynamicObject) -> u32 {
    object.data["spec"]["replicas"].as_u64().map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Returns whether a Job has ended, successfully or not.
fn has_ended(job: &DynamicObject) -> bool {
    let conditions = job.data["status"]["conditions"].as_array().into_iter().flatten();
    let mut ended = conditions.filter(|c| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed"));
    ended.next().is_some()
}

/// Converts the selector of a workload to the syntax of a list request.
fn labels_of(selector: &Value) -> Result<String, Unreadable> {
    if selector["matchExpressions"].as_array().is_some_and(|all| !all.is_empty()) {
        return Err(Unreadable::Unrepresentable("its selector has `matchExpressions`".into()));
    }
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    Ok(labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(","))
}

fn timetable(object: &DynamicObject) -> Timetable {
    let spec = &object.data["spec"];
    let created = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    Timetable {
        schedule: spec["schedule"].as_str().unwrap_or_default().to_owned(),
        zone: spec["timeZone"].as_str().map(str::to_owned),
        last: object.data["status"]["lastScheduleTime"].as_str().and_then(|at| at.parse().ok()),
        created,
    }
}

/// Returns the GitOps tool that manages the object according to its labels or annotations; `None` if there is none.
/// Helm is ignored, because it changes objects only during an install or upgrade.
fn owner(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Option<String> {
    let argo = ["argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"];
    if argo.iter().any(|key| annotations.contains_key(*key) || labels.contains_key(*key)) {
        return Some("Argo CD".to_owned());
    }
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    flux.iter().any(|key| labels.contains_key(*key)).then(|| "Flux".to_owned())
}
