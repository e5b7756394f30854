//! The real thing behind [`Cluster`]: a Kubernetes API, through the `kube` client.

mod connect;
mod error;
mod unreached;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{self as core, Namespace};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

pub(super) use connect::USER_AGENT;
pub(crate) use connect::limit;
pub use connect::{from_context, from_kubeconfig};
pub use error::NoToken;
pub(crate) use error::read as unreadable;
pub use unreached::Unreached;

use super::{Cluster, WriteError};
use crate::domain::alb::Unreadable;
use crate::domain::binding::Binding;
use crate::domain::kube::{Identity, Pod, WorkloadView};
use crate::plan::model::ServiceRef;

/// Who we are to server-side apply.
pub const FIELD_MANAGER: &str = "cutover";
/// How long any one request may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Objects a page.
const PAGE: u32 = 500;
/// The API groups that serve TargetGroupBinding, the controller's first: a cluster in Auto Mode may serve both.
const BINDING_APIS: [(&str, &str); 2] = [("elbv2.k8s.aws", "v1beta1"), ("eks.amazonaws.com", "v1")];

/// One Kubernetes cluster. Nothing here retries.
#[derive(Clone)]
pub struct K8s {
    client: Client,
    binding_api: OnceCell<ApiResource>,
}

impl K8s {
    /// Over a client that should not retry by itself, and that knows its credentials.
    pub fn new(client: Client) -> Self {
        Self { client, binding_api: OnceCell::new() }
    }

    /// The API of TargetGroupBinding; `None`: this cluster serves none. A found one is remembered.
    async fn binding_api(&self) -> Result<Option<&ApiResource>, kube::Error> {
        if let Some(found) = self.binding_api.get() {
            return Ok(Some(found));
        }
        for (group, version) in BINDING_APIS {
            let api_version = format!("{group}/{version}");
            match self.client.list_api_group_resources(&api_version).await {
                Ok(list) if list.resources.iter().any(|r| r.kind == "TargetGroupBinding") => {
                    let (group, version, plural) = (group.into(), version.into(), "targetgroupbindings".into());
                    let found = ApiResource { group, version, api_version, kind: "TargetGroupBinding".into(), plural };
                    return Ok(Some(self.binding_api.get_or_init(|| async { found }).await));
                }
                Ok(_) => (),
                Err(e) if is_missing(&e) => (),
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    async fn bindings_in(&self, namespace: Option<&str>) -> Result<Vec<Binding>, Unreadable> {
        let Some(api) = read(self.binding_api()).await? else { return Ok(Vec::new()) };
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, api),
            None => Api::all_with(self.client.clone(), api),
        };
        list(&api, "").await?.into_iter().map(value::binding).collect()
    }

    /// Deployments and StatefulSets that own these pods, or whose template the selector selects (with no replicas they own none).
    async fn owners(
        &self,
        namespace: &str,
        selector: &BTreeMap<String, String>,
        pods: &[core::Pod],
    ) -> Result<Vec<value::Owned>, Unreadable> {
        let sets = list::<ReplicaSet>(&Api::namespaced(self.client.clone(), namespace), "").await?;
        let mut uids: BTreeSet<String> = pods.iter().flat_map(value::owner_uids).collect();
        uids.extend(sets.iter().filter(|s| s.uid().is_some_and(|u| uids.contains(&u))).flat_map(value::owner_uids).collect::<Vec<_>>());
        let deployments = list::<Deployment>(&Api::namespaced(self.client.clone(), namespace), "").await?;
        let stateful = list::<StatefulSet>(&Api::namespaced(self.client.clone(), namespace), "").await?;
        let all = deployments.iter().map(value::deployment).chain(stateful.iter().map(value::stateful_set));
        Ok(all.filter(|o| uids.contains(&o.uid) || value::selects(selector, &o.template_labels)).collect())
    }
}

#[async_trait]
impl Cluster for K8s {
    async fn identity(&self) -> Result<Identity, Unreadable> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let system = read(namespaces.get("kube-system")).await?;
        let version = read(self.client.apiserver_version()).await?.git_version;
        let binding_api = read(self.binding_api()).await?.map(|a| a.api_version.clone());
        let uid = system.uid().ok_or_else(|| Unreadable::Unavailable("namespace kube-system has no UID".to_owned()))?;
        Ok(Identity { uid, version, binding_api })
    }

    async fn workload(&self, service: &ServiceRef) -> Result<WorkloadView, Unreadable> {
        let namespace = service.namespace.as_str();
        let services: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        let found = read(services.get_opt(&service.name)).await?.as_ref().map(value::service);
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace_labels = read(namespaces.get_opt(namespace)).await?.map(|n| n.labels().clone()).unwrap_or_default();
        let bindings = self.bindings_in(Some(namespace)).await?;
        let empty = WorkloadView { service: found, pods: Vec::new(), owners: Vec::new(), hpas: Vec::new(), bindings, namespace_labels };
        // a Service without a selector selects nothing, where an empty selector in a list would select everything
        let Some(selector) = empty.service.as_ref().map(|s| s.selector.clone()).filter(|s| !s.is_empty()) else { return Ok(empty) };
        let labels = selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
        let pods = list::<core::Pod>(&Api::namespaced(self.client.clone(), namespace), &labels).await?;
        let owners = self.owners(namespace, &selector, &pods).await?;
        let hpas = list::<HorizontalPodAutoscaler>(&Api::namespaced(self.client.clone(), namespace), "").await?;
        let targets: BTreeSet<_> = owners.iter().map(|o| format!("{}/{}", o.owner.kind, o.owner.name)).collect();
        Ok(WorkloadView {
            pods: pods.iter().map(value::pod).collect::<Vec<Pod>>(),
            hpas: hpas.iter().map(value::hpa).filter(|h| targets.contains(&h.target)).collect(),
            owners: owners.into_iter().map(|o| o.owner).collect(),
            ..empty
        })
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.bindings_in(None).await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<(), WriteError> {
        let found = deadline(self.binding_api()).await.ok_or_else(|| WriteError::Refused(late("discovery of TargetGroupBinding")))?;
        // nothing was written yet, so a failure here is no open question
        let found = found.map_err(|e| error::before_write(&e))?;
        let api = found.ok_or_else(|| WriteError::Refused("this cluster serves no TargetGroupBinding".to_owned()))?;
        let bindings: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &binding.namespace, api);
        let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).validation_strict() };
        let body = value::wanted(binding, &api.api_version);
        match deadline(bindings.patch(&binding.name, &params, &Patch::Apply(body))).await {
            Some(answer) => answer.map(drop).map_err(|e| error::write(&e)),
            None => Err(WriteError::Unknown(late("apply"))),
        }
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn late(what: &str) -> String {
    format!("{what}: nothing heard for {} s", DEADLINE.as_secs())
}

async fn deadline<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(DEADLINE, future).await.ok()
}

async fn read<T>(future: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Unreadable> {
    match deadline(future).await {
        Some(answer) => answer.map_err(|e| error::read(&e)),
        None => Err(Unreadable::Unavailable(late("the Kubernetes API"))),
    }
}

/// All pages. A list that expires between two pages (410) fails: half a list is worse than none.
async fn list<K: Clone + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, labels: &str) -> Result<Vec<K>, Unreadable> {
    let mut params = ListParams::default().limit(PAGE).labels(labels);
    let mut all = Vec::new();
    loop {
        let page = read(api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
