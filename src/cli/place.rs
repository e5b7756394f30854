//! Where runs are kept: what the plan says, else `--state` or `CUTOVER_STATE`, else this machine. One never stands in for another.

use std::path::Path;
use std::sync::Arc;

use ::kube::Client;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::{find, world};
use crate::adapter::aws::eks;
use crate::adapter::clock::System;
use crate::adapter::kubernetes as kube;
use crate::adapter::store::fs::Local;
use crate::adapter::store::kubernetes::Shared;
use crate::plan::model::{ClusterAccess, Plan, StatePlace};
use crate::port::store::{Store, StoreError};

/// A namespace of a cluster in which runs are kept, reached.
pub struct Namespace {
    /// The way there.
    pub client: Client,
    /// Its name.
    pub name: String,
    /// For messages: `namespace cutover of the EKS cluster tools`.
    pub place: String,
    /// How a person reaches it: `kubectl -n cutover`.
    pub kubectl: String,
}

/// Where a plan's runs are kept.
pub fn said(global: &Global, plan: &Plan) -> Result<StatePlace, Failure> {
    Ok(match (&plan.state, &global.state) {
        (StatePlace::Local, given) => given.clone().unwrap_or_default(),
        (said, Some(given)) if said != given => {
            let message = format!("{} keeps its runs in {said}, and --state (or CUTOVER_STATE) says {given}", plan.source);
            return Err(Failure::new(Exit::Usage, message).next("leave that out: the plan's own place is the one that everybody uses"));
        }
        (said, _) => said.clone(),
    })
}

/// The store of a plan's runs.
pub async fn of(global: &Global, plan: &Plan) -> Result<Arc<dyn Store>, Failure> {
    open(global, &said(global, plan)?, Some(&plan.region)).await
}

/// The store of what a person names: a plan file says it itself, anything else is looked for where `--state` says.
pub async fn named(global: &Global, target: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let file = target.filter(|t| *t == "-" || Path::new(t).is_file());
    // A file that is no plan may have a run's name; and whoever looks for the run in vain says what is wrong with the file.
    match file.and_then(|file| find::plan(file, false).ok()) {
        Some(plan) => of(global, &plan).await,
        None => open(global, &global.state.clone().unwrap_or_default(), None).await,
    }
}

/// Opens a place. A shared one is asked at once whether it is there: what cannot be reached now is refused now.
async fn open(global: &Global, place: &StatePlace, region: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let StatePlace::Kubernetes { access, namespace } = place else {
        let local = Local::open(global.state_dir.clone()).map_err(|e| Failure::new(Exit::Internal, e))?;
        return Ok(Arc::new(local));
    };
    let Namespace { client, name, place, kubectl } = reach(access, namespace, region).await?;
    let shared = Shared::new(client, &name, &place, &kubectl, Arc::new(System));
    shared.probe().await.map_err(unusable)?;
    Ok(Arc::new(shared))
}

/// The way to a namespace. Nothing in it is asked yet.
pub async fn reach(access: &ClusterAccess, namespace: &str, region: Option<&str>) -> Result<Namespace, Failure> {
    let (reached, cluster, kubectl) = match access {
        ClusterAccess::Eks(name) => {
            (eks::connect(&world::aws(region).await, name, None).await, format!("the EKS cluster {name}"), "kubectl".to_owned())
        }
        ClusterAccess::KubeContext(name) => {
            (kube::from_context(Some(name)).await, format!("the cluster of context {name}"), format!("kubectl --context {name}"))
        }
        ClusterAccess::None => return Err(Failure::new(Exit::Usage, "no cluster for the state")),
    };
    let place = format!("namespace {namespace} of {cluster}");
    match reached {
        Ok(cluster) => {
            Ok(Namespace { client: cluster.client(), name: namespace.to_owned(), place, kubectl: format!("{kubectl} -n {namespace}") })
        }
        Err(why) => Err(unusable(StoreError::Unusable { place, why: why.to_string() })),
    }
}

/// Why the store did not do what was asked before anything was touched.
pub fn unusable(error: StoreError) -> Failure {
    match error {
        StoreError::Unusable { .. } => Failure::new(Exit::Refused, error)
            .next("nothing was touched; no other lock or journal stands in for it")
            .next("to put the traffic back without it: cutover rollback --load-balancer LB --from GROUPS --to GROUPS"),
        other => Failure::new(Exit::Internal, other),
    }
}
