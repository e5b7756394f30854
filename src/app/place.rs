//! Where runs are kept: what the plan says, else `--state` or `CUTOVER_STATE`, else this machine. One never stands in for another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exit::{Exit, Failure, unusable};
use super::{find, world};
use crate::adapter::aws::eks;
use crate::adapter::clock::System;
use crate::adapter::kubernetes::{self as kube, K8s};
use crate::adapter::store::fs::Local;
use crate::adapter::store::kubernetes::Shared;
use crate::plan::model::{ClusterAccess, Plan, StatePlace};
use crate::port::store::{Store, StoreError};

/// What the command line or the environment says of where runs are kept.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The directory on this machine; `None`: the user's state directory.
    pub dir: Option<PathBuf>,
    /// The place of runs whose plan names none.
    pub state: Option<StatePlace>,
}

/// A namespace of a cluster in which runs are kept, reached.
pub struct Namespace {
    /// The way there.
    pub cluster: K8s,
    /// Its name.
    pub name: String,
    /// For messages: `namespace cutover of the EKS cluster tools`.
    pub place: String,
    /// How a person reaches it: `kubectl -n cutover`.
    pub kubectl: String,
}

/// Where a plan's runs are kept.
pub fn said(given: &Given, plan: &Plan) -> Result<StatePlace, Failure> {
    Ok(match (&plan.state, &given.state) {
        (StatePlace::Local, other) => other.clone().unwrap_or_default(),
        (said, Some(other)) if said != other => {
            let message =
                format!("{} keeps its runs in {said}, and --state (or CUTOVER_STATE) says {other}", plan.source);
            return Err(Failure::new(Exit::Usage, message)
                .next("leave that out: the plan's own place is the one that everybody uses"));
        }
        (said, _) => said.clone(),
    })
}

/// The store of a plan's runs.
pub async fn of(given: &Given, plan: &Plan) -> Result<Arc<dyn Store>, Failure> {
    open(given, &said(given, plan)?, Some(&plan.region)).await
}

/// The store of what a person names: a plan file says it itself, anything else is looked for where `--state` says.
pub async fn named(given: &Given, target: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let file = target.filter(|t| *t == "-" || Path::new(t).is_file());
    // A file that is no plan may have a run's name; and whoever looks for the run in vain says what is wrong with the file.
    match file.and_then(|file| find::file(file, false).ok()) {
        Some(plan) => of(given, &plan).await,
        None => open(given, &given.state.clone().unwrap_or_default(), None).await,
    }
}

/// Opens a place. A shared one is asked at once whether it is there: what cannot be reached now is refused now.
async fn open(given: &Given, place: &StatePlace, region: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let StatePlace::Kubernetes { access, namespace } = place else {
        let local = Local::open(given.dir.clone()).map_err(|e| Failure::new(Exit::Internal, e))?;
        return Ok(Arc::new(local));
    };
    let Namespace { cluster, name, place, kubectl } = reach(access, namespace, region).await?;
    let shared = Shared::new(cluster.client(), &name, &place, &kubectl, Arc::new(System));
    shared.probe().await.map_err(unusable)?;
    Ok(Arc::new(shared))
}

/// The way to a namespace. Nothing in it is asked yet.
pub async fn reach(access: &ClusterAccess, namespace: &str, region: Option<&str>) -> Result<Namespace, Failure> {
    let (reached, cluster, kubectl) = match access {
        ClusterAccess::Eks(name) => (
            eks::connect(&world::aws(region).await, name, None).await,
            format!("the EKS cluster {name}"),
            "kubectl".to_owned(),
        ),
        ClusterAccess::KubeContext(name) => (
            kube::from_context(Some(name)).await,
            format!("the cluster of context {name}"),
            format!("kubectl --context {name}"),
        ),
        ClusterAccess::None => return Err(Failure::new(Exit::Usage, "no cluster for the state")),
    };
    let place = format!("namespace {namespace} of {cluster}");
    match reached {
        Ok(cluster) => {
            Ok(Namespace { cluster, name: namespace.to_owned(), place, kubectl: format!("{kubectl} -n {namespace}") })
        }
        Err(why) => Err(unusable(StoreError::Unusable { place, why: why.to_string() })),
    }
}
