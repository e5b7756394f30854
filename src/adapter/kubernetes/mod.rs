//! Implements [`Cluster`] for a Kubernetes API with the `kube` client. Do not add rules about the objects that are
//! read.

mod access;
mod connect;
mod endpoints;
mod error;
pub mod items;
pub mod job;
pub mod kubeconfig;
mod lazy;
mod lazy_items;
mod namespace;
mod objects;
mod plugin;
mod plugin_secrets;
mod plugin_service;
mod review;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{self as core, Namespace};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

pub use access::{Access, refuse_unauthorized};
pub(super) use connect::USER_AGENT;
pub(crate) use connect::client as service;
pub use connect::{connect_over, from_context, from_kubeconfig};
pub use error::NoToken;
pub(crate) use error::read as unreadable;
pub use lazy::LazyCluster;
pub use lazy_items::LazyItems;

use namespace::NamespaceObjects;

pub use crate::domain::kubernetes::binding::FIELD_MANAGER;
use crate::domain::traffic::Unreadable;
use crate::port::{Cluster, EndpointReport, WriteError};

use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::plan::model::ServiceRef;

/// The time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The number of objects per page.
const PAGE_SIZE: u32 = 500;
/// The maximum number of workloads that are read at the same time.
const MAX_PARALLEL: usize = 16;
/// The API groups with TargetGroupBinding. The API group of the controller is first. A cluster in Auto Mode may serve
/// both groups.
const BINDING_APIS: [(&str, &str); 2] = [("elbv2.k8s.aws", "v1beta1"), ("eks.amazonaws.com", "v1")];

/// A client of a Kubernetes cluster. It does not retry.
#[derive(Clone)]
pub struct K8s {
    client: Client,
    access: Access,
    binding_api: OnceCell<ApiResource>,
}

impl K8s {
    /// Creates a cluster with a client that has credentials and does not retry.
    pub fn new(client: Client) -> Self {
        Self { client, access: Access::default(), binding_api: OnceCell::new() }
    }

    /// Sets how the cluster is accessed.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Returns the client, for objects that are not part of a workload.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the API of TargetGroupBinding; `None` if the cluster serves none. The result is cached.
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

    /// Reads the Service and the pods of a workload.
    async fn view(&self, service: &ServiceRef, shared_objects: &NamespaceObjects) -> Result<WorkloadView, Unreadable> {
        let namespace = service.namespace.as_str();
        let services: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        let found = read(services.get_opt(&service.name)).await?.as_ref().map(value::service);
        // A Service without a selector selects nothing, but an empty selector in a list request would select
        // everything.
        let Some(selector) = found.as_ref().map(|s| &s.selector).filter(|s| !s.is_empty()) else {
            return Ok(shared_objects.view(service, found, &[]));
        };
        let labels = selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
        let pods = list(&Api::<core::Pod>::namespaced(self.client.clone(), namespace), &labels, Some).await?;
        Ok(shared_objects.view(service, found, &pods))
    }

    async fn bindings_in(&self, namespace: Option<&str>) -> Result<Vec<Binding>, Unreadable> {
        let Some(api) = read(self.binding_api()).await? else { return Ok(Vec::new()) };
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, api),
            None => Api::all_with(self.client.clone(), api),
        };
        list(&api, "", |object| Some(value::binding(object))).await
    }
}

#[async_trait]
impl Cluster for K8s {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let system = read(namespaces.get("kube-system")).await?;
        let version = read(self.client.apiserver_version()).await?.git_version;
        let binding_api = read(self.binding_api()).await?.map(|a| a.api_version.clone());
        let uid = system.uid().ok_or_else(|| Unreadable::Unavailable("namespace kube-system has no UID".to_owned()))?;
        Ok(ClusterIdentity { uid, version, binding_api, eks_name: self.access.eks.clone() })
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        let names: BTreeSet<&str> = services.iter().map(|s| s.namespace.as_str()).collect();
        let mut shared_objects = BTreeMap::new();
        for name in names {
            shared_objects.insert(name, NamespaceObjects::of(self, name).await);
        }
        let mut views = Vec::with_capacity(services.len());
        // The futures of thousands of requests would take much memory.
        for some in services.chunks(MAX_PARALLEL) {
            let reads = some.iter().map(async |service| match &shared_objects[service.namespace.as_str()] {
                Ok(shared_objects) => self.view(service, shared_objects).await,
                Err(why) => Err(why.clone()),
            });
            views.extend(join_all(reads).await);
        }
        views
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.bindings_in(None).await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        let found = with_deadline(self.binding_api())
            .await
            .ok_or_else(|| WriteError::Refused(timeout_text("discovery of TargetGroupBinding")))?;
        // Nothing was written yet, so a failure here is certain.
        let found = found.map_err(|e| error::before_write(&e))?;
        let api = found.ok_or_else(|| WriteError::Refused("this cluster serves no TargetGroupBinding".to_owned()))?;
        let bindings: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &binding.namespace, api);
        let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).validation_strict() };
        let (mut sent, mut left_out) = (binding.clone(), Vec::new());
        loop {
            let body = value::apply_body(&sent, &api.api_version);
            let answer = with_deadline(bindings.patch(&binding.name, &params, &Patch::Apply(body))).await;
            let Err(refusal) = answer.ok_or_else(|| WriteError::Unanswered(timeout_text("apply")))? else {
                return Ok(left_out);
            };
            // A CRD can be older than its controller. Each round leaves out at least one more field.
            let undeclared = error::undeclared_fields(&refusal);
            let Some(less) = sent.without(&undeclared) else { return Err(error::binding(&refusal, &undeclared)) };
            sent = less;
            left_out.extend(undeclared);
        }
    }

    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        let Some((uid, version)) = found.identity.clone() else {
            return Err(WriteError::Refused(format!(
                "the TargetGroupBinding {} was not read before its deletion",
                found.full_name()
            )));
        };
        let api = with_deadline(self.binding_api())
            .await
            .ok_or_else(|| WriteError::Refused(timeout_text("discovery of TargetGroupBinding")))?;
        let api = api.map_err(|e| error::before_write(&e))?;
        let api = api.ok_or_else(|| WriteError::NotFound("this cluster serves no TargetGroupBinding".to_owned()))?;
        let bindings: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &found.namespace, api);
        let preconditions = Some(Preconditions { uid: Some(uid), resource_version: Some(version) });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match with_deadline(bindings.delete(&found.name, &params)).await {
            Some(answer) => answer.map(drop).map_err(|e| error::write(&e)),
            None => Err(WriteError::Unanswered(timeout_text("delete"))),
        }
    }

    async fn watch_endpoints(&self, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable {
        endpoints::watch(&self.client, services, report).await
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn timeout_text(what: &str) -> String {
    format!("{what}: no response within {} s", REQUEST_TIMEOUT.as_secs())
}

async fn with_deadline<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(REQUEST_TIMEOUT, future).await.ok()
}

async fn read<T>(future: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Unreadable> {
    match with_deadline(future).await {
        Some(answer) => answer.map_err(|e| error::read(&e)),
        None => Err(Unreadable::Unavailable(timeout_text("the Kubernetes API"))),
    }
}

/// Reads all pages, and keeps of each object what `keep` returns: a namespace may have thousands of objects. Fails if the
/// list expires between two pages (410), because an incomplete list is worse than none.
async fn list<K: Clone + DeserializeOwned + std::fmt::Debug, T>(
    api: &Api<K>,
    labels: &str,
    keep: impl Fn(K) -> Option<T>,
) -> Result<Vec<T>, Unreadable> {
    let mut params = ListParams::default().limit(PAGE_SIZE).labels(labels);
    let mut all = Vec::new();
    loop {
        let page = read(api.list(&params)).await?;
        all.extend(page.items.into_iter().filter_map(&keep));
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
